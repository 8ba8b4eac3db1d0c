package field

import "fmt"

// A Reason says which rule of RFC 7541 a header block broke.
type Reason uint8

// The reasons. The zero Reason stands for a block without fault.
const (
	Truncated         Reason = iota + 1 // the block ends within an instruction
	IntegerOverflow                     // an integer of more than 32 bits, or longer than any such needs
	BadIndex                            // an index of 0 or past the end of the table
	BadHuffman                          // no Huffman code, EOS, or padding that is not the start of EOS
	SizeUpdateTooHigh                   // a table larger than SETTINGS_HEADER_TABLE_SIZE allows
	SizeUpdateLate                      // a table size update after a field
	SizeUpdateMissing                   // none although SETTINGS_HEADER_TABLE_SIZE demanded one
)

var reasons = [...]string{
	Truncated:         "the block ends within an instruction",
	IntegerOverflow:   "an integer needs more than 32 bits",
	BadIndex:          "no table entry has index %d, the last one is %d",
	BadHuffman:        "a string is not valid Huffman code",
	SizeUpdateTooHigh: "a table size update to %d octets, SETTINGS_HEADER_TABLE_SIZE allows %d",
	SizeUpdateLate:    "a table size update stands after a field, expected at the start of the block",
	SizeUpdateMissing: "no table size update at the start of the block, the table has %d octets and SETTINGS_HEADER_TABLE_SIZE allows %d",
}

// An Error is a header block that the peer encoded wrongly. The tables of the
// two sides are no longer known to agree: the connection ends with
// COMPRESSION_ERROR (https://www.rfc-editor.org/rfc/rfc9113#section-4.3).
type Error struct {
	Reason     Reason
	Offset     int    // where in the block the faulty instruction begins, in octets
	Got, Limit uint32 // the faulty number and the highest valid one, where there is one
}

func (e *Error) Error() string {
	text := "unknown fault"
	if int(e.Reason) < len(reasons) && e.Reason != 0 {
		text = reasons[e.Reason]
	}
	switch e.Reason {
	case BadIndex, SizeUpdateTooHigh, SizeUpdateMissing:
		text = fmt.Sprintf(text, e.Got, e.Limit)
	}
	return fmt.Sprintf("hpack: the peer's header block is faulty at octet %d: %s", e.Offset, text)
}
