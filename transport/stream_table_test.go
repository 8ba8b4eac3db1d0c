package transport

import (
	"math/rand/v2"
	"testing"
)

// A table of streams is what a map of them is, whatever is added, looked for and
// removed, in whatever order, and however far their ids are apart.
func TestStreamTable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var table streamTable
		model := make(map[uint32]*stream)
		most, next := 1+random.IntN(4), uint32(1)
		if random.IntN(2) == 0 {
			most = 1 + random.IntN(200)
		}
		step := uint32(2) << (random.IntN(3) * random.IntN(6))
		var ids []uint32
		known := func() uint32 {
			if len(ids) == 0 {
				return next
			}
			return ids[random.IntN(len(ids))]
		}
		for range 600 {
			switch id := known(); random.IntN(6) {
			case 0, 1, 2:
				if len(model) < most {
					st := &stream{id: next}
					table.add(st)
					model[next] = st
					ids = append(ids, next)
					next += step
				}
			case 3, 4:
				if st := model[id]; st != nil {
					table.remove(st)
					delete(model, id)
				}
			default:
				table.rest()
			}
			if id := known(); table.find(id) != model[id] {
				t.Fatalf("found %v for %d, want %v", table.find(id), id, model[id])
			}
			seen := 0
			for st := range table.each {
				if model[st.id] != st {
					t.Fatalf("yields %d, which is not in", st.id)
				}
				seen++
			}
			if table.len() != len(model) || seen != len(model) {
				t.Fatalf("it has %d, yields %d, want %d", table.len(), seen, len(model))
			}
		}
	}
}

// One stream after the other needs no index.
func TestStreamTable_OneAtATime(t *testing.T) {
	var table streamTable
	var one stream
	if n := testing.AllocsPerRun(100, func() {
		table.add(&one)
		table.find(one.id)
		table.remove(&one)
	}); n != 0 || table.all != nil {
		t.Errorf("%v allocations a stream, want none and no index", n)
	}
	var two stream
	two.id = 2
	table.add(&one)
	table.add(&two)
	table.remove(&one)
	table.remove(&two)
	if table.all == nil {
		t.Error("there was no index for two")
	}
	if table.rest(); table.all != nil {
		t.Error("the index of an empty table stays")
	}
}
