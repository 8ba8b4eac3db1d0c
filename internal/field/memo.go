package field

import "encoding/binary"

// A Memo is the leading run of indexed fields that blocks of one peer have in
// common. It is handed out again for every block that begins with the run.
type Memo struct {
	Fields []Field // shared and immutable
	Size   uint32  // what Fields count, in octets
	Parsed any     // for what the decoder's owner derived from Fields; nil at first
}

const (
	maxRun       = 64       // fields of a longer run follow in Rest
	maxMemos     = 64       // how many a decoder holds
	maxMemoBytes = 32 << 10 // what their keys, fields and structs may count together
	memoOverhead = 128      // what a Memo counts besides key and fields
)

// memos holds the memos of one decoder by the identities of their fields.
//
// The identity of a static entry is its index, that of a dynamic one is 62 plus
// its number. An identity stands for one name and value for ever: an eviction
// makes it unreachable and nothing has to be invalidated.
type memos struct {
	few   []keyedMemo // all of them, as long as these are no more than maxFew
	byKey map[string]*Memo
	size  uint32 // at most maxMemoBytes
}

type keyedMemo struct {
	key  string
	memo *Memo
}

// maxFew is how many memos are sooner compared than hashed. Most connections
// have a memo for each method and one or two for its answers.
const maxFew = 4

// find gives the memo with a key, or nil.
func (ms *memos) find(key []byte) *Memo {
	for i := range ms.few {
		if k := &ms.few[i]; k.key == string(key) {
			return k.memo
		}
	}
	return ms.byKey[string(key)] // nil has nothing
}

func (ms *memos) len() int { return len(ms.few) + len(ms.byKey) }

// appendIdentity adds one field to a key. All identities have one length, so
// no two runs share a key.
func appendIdentity(key []byte, id uint64) []byte {
	return binary.LittleEndian.AppendUint64(key, id)
}

func identityAt(key []byte, i int) uint64 {
	return binary.LittleEndian.Uint64(key[8*i:])
}

func runLen(key []byte) int { return len(key) / 8 }

// keep remembers m. When it is full it forgets all others: the peer's recurring
// runs are back after one block each.
func (ms *memos) keep(key []byte, m *Memo) {
	cost := addSize(m.Size, memoOverhead+uint32(len(key)))
	if cost > maxMemoBytes {
		return
	}
	if ms.len() >= maxMemos || ms.size+cost > maxMemoBytes {
		*ms = memos{}
	}
	ms.size += cost
	if ms.byKey == nil {
		if ms.few = append(ms.few, keyedMemo{string(key), m}); len(ms.few) <= maxFew {
			return
		}
		ms.byKey = make(map[string]*Memo)
		for _, k := range ms.few {
			ms.byKey[k.key] = k.memo
		}
		ms.few = nil
		return
	}
	ms.byKey[string(key)] = m
}
