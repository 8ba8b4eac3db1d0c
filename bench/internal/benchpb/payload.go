// Package benchpb is the service that all peers serve, and what its messages
// carry.
package benchpb

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
)

// stride is between the marks that tell the places of a payload apart. Larger
// frames than that cannot be lost, doubled or swapped without being seen.
const stride = 1 << 10

// whole is the size up to which every octet of a payload is checked.
const whole = 8 << 10

// Fill makes a payload of octets that tell seeds and places apart.
func Fill(seed uint64, size int) []byte {
	p := make([]byte, size)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(p) // which never fails
	return p
}

// Sent is the payload of all messages of that size that servers make, filled
// once. It is only read.
func Sent(size int) []byte {
	if p, ok := sent.Load(size); ok {
		return p.([]byte)
	}
	p, _ := sent.LoadOrStore(size, Fill(0, size))
	return p.([]byte)
}

var sent sync.Map // of size to payload

// Check fails unless the message is the one with the sequence, and its payload
// is as sent: all of it if it is short, at both ends and once in each KiB if it
// is long.
func Check(m *Message, sequence uint64, payload []byte) error {
	if m.GetSequence() != sequence {
		return fmt.Errorf("expected message %d; came %d", sequence, m.GetSequence())
	}
	got := m.GetPayload()
	if len(got) != len(payload) {
		return fmt.Errorf("message %d: expected %d octets; came %d", sequence, len(payload), len(got))
	}
	if len(got) <= whole {
		if string(got) != string(payload) {
			return fmt.Errorf("message %d: expected other octets", sequence)
		}
		return nil
	}
	for i := 0; ; i += stride {
		i = min(i, len(got)-8)
		if binary.LittleEndian.Uint64(got[i:]) != binary.LittleEndian.Uint64(payload[i:]) {
			return fmt.Errorf("message %d: expected other octets at %d", sequence, i)
		}
		if i == len(got)-8 {
			return nil
		}
	}
}
