package transport

// NewValue gives a Buffer that holds v in place of octets, so that a message
// reaches the other end without being marshalled. Only the streams of a
// ValueCarrier take one, those of a ServerStream only if it is a ValueStream
// whose client takes values; elsewhere to send it panics. Bytes is empty and Len
// is 0. It may be sent any number of times. v must not be nil.
func NewValue(v any) Buffer { return Buffer{value: v} }

// Value gives what NewValue was given, or nil if the message is octets.
func (m Buffer) Value() any { return m.value }

// Value gives what the sender has given NewValue, which is still the sender's
// own, or nil if the message is octets.
func (m *Message) Value() any { return m.value }

// A ValueCarrier is a ClientTransport or ServerTransport whose messages may be
// values. Both ends are one then. The streams of its server's end are
// ValueStreams.
type ValueCarrier interface {
	// CarriesValues does nothing.
	CarriesValues()
}

// A ValueStream is a ServerStream that can carry values.
type ValueStream interface {
	ServerStream
	// TakesValues reports whether the client has set Call.TakesValues.
	TakesValues() bool
}
