package liveness

// Action is what a connection has to do now. Each is told once; where several
// are due at the same time, the last of this list comes first.
type Action uint8

const (
	// ActionNone is nothing.
	ActionNone Action = iota

	// ActionPing is to send a PING. Its payload is the caller's: it does not
	// have to be recognised, for whatever is read answers it.
	ActionPing

	// ActionDrainIdle is to end the connection gracefully, for it had no
	// stream for MaxConnectionIdle.
	ActionDrainIdle

	// ActionDrainAge is to end the connection gracefully, for it is as old
	// as MaxConnectionAge, jittered.
	ActionDrainAge

	// ActionCloseGrace is to close the connection with the streams it still
	// has: it was to end for its age, and MaxConnectionAgeGrace is over.
	ActionCloseGrace

	// ActionCloseDead is to close the connection: the peer sent nothing for
	// Timeout after a PING.
	ActionCloseDead
)

// closes reports whether nothing comes after a.
func (a Action) closes() bool { return a >= ActionCloseGrace }

// Debug is the debug data of the GOAWAY that a graceful end begins with, as A9
// has it; empty for other actions.
func (a Action) Debug() string {
	switch a {
	case ActionDrainIdle:
		return "max_idle"
	case ActionDrainAge:
		return "max_age"
	default:
		return ""
	}
}

func (a Action) String() string {
	switch a {
	case ActionNone:
		return "none"
	case ActionPing:
		return "ping"
	case ActionDrainIdle:
		return "drain (MaxConnectionIdle)"
	case ActionDrainAge:
		return "drain (MaxConnectionAge)"
	case ActionCloseGrace:
		return "close (MaxConnectionAgeGrace)"
	case ActionCloseDead:
		return "close (keepalive Timeout)"
	default:
		return "unknown"
	}
}
