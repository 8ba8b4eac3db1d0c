package inspect_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-rpc/weir/inspect"
)

// fill sets every number in v to n.
func fill(v reflect.Value, n uint64) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	default:
		v.SetUint(n)
	}
}

// Add leaves no field out.
func TestCounters_Add(t *testing.T) {
	var a, b, want inspect.Counters
	fill(reflect.ValueOf(&a).Elem(), 3)
	fill(reflect.ValueOf(&b).Elem(), 4)
	fill(reflect.ValueOf(&want).Elem(), 7)
	if a.Add(&b); a != want {
		t.Errorf("3 and 4 are %+v", a)
	}
}

func TestByCode(t *testing.T) {
	var b inspect.ByCode
	for _, code := range []uint32{8, 8, 0, 13, 14, 1<<32 - 1} {
		b.Count(code)
	}
	got := make(map[string]uint64)
	for name, n := range b.All() {
		if n > 0 {
			got[name] = n
		}
	}
	want := map[string]uint64{"CANCEL": 2, "NO_ERROR": 1, "HTTP_1_1_REQUIRED": 1, "UNKNOWN": 2}
	if !reflect.DeepEqual(got, want) || b.Sum() != 6 {
		t.Errorf("counted %v, %d in all, want %v", got, b.Sum(), want)
	}
	for range b.All() {
		break // may end early
	}
	text, err := json.Marshal(inspect.Conn{Counters: inspect.Counters{ResetsIn: b}})
	if err != nil || !strings.Contains(string(text), `"ResetsIn":{"CANCEL":2,"HTTP_1_1_REQUIRED":1,"NO_ERROR":1,"UNKNOWN":2},"ResetsOut":{}`) {
		t.Errorf("a connection in JSON: %s, %v", text, err)
	}
}

// The minimum is that of the streams there are: none is not one with 0.
func TestOpen_Add(t *testing.T) {
	var o inspect.Open
	o.Add(inspect.Open{})
	for _, st := range []inspect.Stream{
		{Window: inspect.Window{Send: 500}, Queued: 7, Waits: inspect.WaitsConnWindow},
		{Window: inspect.Window{Send: -20}, Unread: 9, Waits: inspect.WaitsApplication},
		{Window: inspect.Window{Send: 900}, Waits: inspect.WaitsPeer},
		{Window: inspect.Window{Send: 1}, Waits: inspect.WaitsStreamWindow},
		{Window: inspect.Window{Send: 2}, Waits: inspect.WaitsSocket},
	} {
		o.Note(&st)
	}
	o.Add(inspect.Open{})
	want := inspect.Open{Streams: 5, SendMin: -20, SendMax: 900, SendSum: 1383, Queued: 7, Unread: 9,
		Waits: inspect.Waits{StreamWindow: 1, ConnWindow: 1, Socket: 1, Peer: 1, Application: 1}}
	if o != want {
		t.Errorf("five streams are %+v, want %+v", o, want)
	}
}
