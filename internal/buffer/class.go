package buffer

import "math/bits"

// Capacities come in classes: 256 octets, and from there to 8 MiB four equal
// steps to each doubling (256, 320, 384, 448, 512, 640 …). Doublings alone
// would make a message of 1 MiB with its prefix of 5 octets hold 2 MiB; quarter
// steps waste a fifth at most.
const (
	minShift = 8  // 256 octets, and below it a class of its own saves nothing
	maxShift = 23 // 8 MiB, above it a pool would hold on to too much

	minCapacity = 1 << minShift
	maxCapacity = 1 << maxShift
	classes     = (maxShift-minShift)*4 + 1
)

// classCapacity gives the capacity of class c in octets.
func classCapacity(c int) int { return (4 + c&3) << (c>>2 + minShift - 2) }

// classFor gives the lowest class that holds n octets, for n up to
// maxCapacity.
func classFor(n int) int {
	if n <= minCapacity {
		return 0
	}
	return classWithin(n-1) + 1
}

// classWithin gives the highest class that n octets suffice for, for n from
// minCapacity on.
func classWithin(n int) int {
	shift := bits.Len(uint(n)) - 1
	return (shift-minShift)<<2 + n>>(shift-2)&3
}
