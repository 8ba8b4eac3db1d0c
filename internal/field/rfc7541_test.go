package field

import (
	"bytes"
	"slices"
	"testing"
)

// vectors are the examples of https://www.rfc-editor.org/rfc/rfc7541#appendix-C
// that consist of blocks. A group's blocks share one table.
var vectors = []struct {
	section string
	table   uint32 // the table's size, in octets
	blocks  []vector
}{
	{"C.2.1", 4096, []vector{{
		"400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
		list("custom-key: custom-header"), list("custom-key: custom-header"), 55}}},
	{"C.2.2", 4096, []vector{{
		"040c 2f73 616d 706c 652f 7061 7468",
		list(":path: /sample/path"), nil, 0}}},
	{"C.2.3", 4096, []vector{{
		"1008 7061 7373 776f 7264 0673 6563 7265 74",
		[]Field{{"password", "secret", true}}, nil, 0}}},
	{"C.2.4", 4096, []vector{{"82", list(":method: GET"), nil, 0}}},
	{"C.3", 4096, []vector{
		{"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", requests[0], requestTables[0], 57},
		{"8286 84be 5808 6e6f 2d63 6163 6865", requests[1], requestTables[1], 110},
		{"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", requests[2], requestTables[2], 164},
	}},
	{"C.4", 4096, []vector{
		{"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", requests[0], requestTables[0], 57},
		{"8286 84be 5886 a8eb 1064 9cbf", requests[1], requestTables[1], 110},
		{"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", requests[2], requestTables[2], 164},
	}},
	{"C.5", 256, []vector{
		{`4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
		  2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
		  6c65 2e63 6f6d`, responses[0], responseTables[0], 222},
		{"4803 3330 37c1 c0bf", responses[1], responseTables[1], 222},
		{`88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
		  54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
		  5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
		  3d31`, responses[2], responseTables[2], 215},
	}},
	{"C.6", 256, []vector{
		{`4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
		  2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`, responses[0], responseTables[0], 222},
		{"4883 640e ffc1 c0bf", responses[1], responseTables[1], 222},
		{`88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
		  77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
		  9587 3160 65c0 03ed 4ee5 b106 3d50 07`, responses[2], responseTables[2], 215},
	}},
}

type vector struct {
	octets string
	fields []Field
	table  []Field // afterwards, newest first
	size   uint32  // of the table
}

var requests = [][]Field{
	list(":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"),
	list(":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"),
	list(":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"),
}

var requestTables = [][]Field{
	list(":authority: www.example.com"),
	list("cache-control: no-cache", ":authority: www.example.com"),
	list("custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"),
}

const (
	date21    = "date: Mon, 21 Oct 2013 20:13:21 GMT"
	date22    = "date: Mon, 21 Oct 2013 20:13:22 GMT"
	location  = "location: https://www.example.com"
	setCookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
)

var responses = [][]Field{
	list(":status: 302", "cache-control: private", date21, location),
	list(":status: 307", "cache-control: private", date21, location),
	list(":status: 200", "cache-control: private", date22, location, "content-encoding: gzip", setCookie),
}

var responseTables = [][]Field{
	list(location, date21, "cache-control: private", ":status: 302"),
	list(":status: 307", location, date21, "cache-control: private"),
	list(setCookie, "content-encoding: gzip", date22),
}

func TestDecodeRFCVectors(t *testing.T) {
	for _, group := range vectors {
		t.Run(group.section, func(t *testing.T) {
			var d Decoder
			d.Init(group.table, 0)
			d.table.resize(group.table)
			var l List
			for i, v := range group.blocks {
				if err := d.Decode(unhex(t, v.octets), &l); err != nil {
					t.Fatalf("block %d: %v", i+1, err)
				}
				if got := collect(&l); !slices.Equal(got, v.fields) {
					t.Errorf("block %d: fields %v, want %v", i+1, got, v.fields)
				}
				if got := d.table.newest(); !slices.Equal(got, v.table) || d.table.size != v.size {
					t.Errorf("block %d: table %v of %d octets, want %v of %d", i+1, got, d.table.size, v.table, v.size)
				}
			}
		})
	}
}

// Where the policy of the Encoder and that of the RFC's examples agree, so do
// the octets: on second sight, in Huffman code where that is shorter, without
// evictions.
func TestEncodeRFCVectors(t *testing.T) {
	for _, tt := range []struct {
		section string
		size    uint32
		sighted bool
		blocks  []vector
	}{
		{"C.2.4", 4096, false, vectors[3].blocks},
		{"C.4", 4096, true, vectors[5].blocks},
		{"C.6", 256, true, vectors[7].blocks[:1]},
	} {
		t.Run(tt.section, func(t *testing.T) {
			var e Encoder
			e.SetMaxTableSize(tt.size)
			e.Begin(nil)
			for i, v := range tt.blocks {
				got := e.Begin(nil)
				for _, f := range v.fields {
					if tt.sighted {
						_, both := hash(f)
						e.again(both)
					}
					got = e.AppendField(got, f, IndexAuto)
				}
				if want := unhex(t, v.octets); !bytes.Equal(got, want) {
					t.Errorf("block %d: % x, want % x", i+1, got, want)
				}
				if got := e.newest(); !slices.Equal(got, v.table) || e.size != v.size {
					t.Errorf("block %d: table %v of %d octets, want %v of %d", i+1, got, e.size, v.table, v.size)
				}
			}
		})
	}
}
