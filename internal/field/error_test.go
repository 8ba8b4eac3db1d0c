package field

import "testing"

func TestErrorSaysWhoWhereAndWhat(t *testing.T) {
	for _, tt := range []struct {
		err  Error
		want string
	}{
		{Error{Reason: Truncated, Offset: 7},
			"hpack: the peer's header block is faulty at octet 7: the block ends within an instruction"},
		{Error{Reason: BadIndex, Got: 70, Limit: 63},
			"hpack: the peer's header block is faulty at octet 0: no table entry has index 70, the last one is 63"},
		{Error{Reason: SizeUpdateTooHigh, Got: 8192, Limit: 4096},
			"hpack: the peer's header block is faulty at octet 0: a table size update to 8192 octets, SETTINGS_HEADER_TABLE_SIZE allows 4096"},
		{Error{}, "hpack: the peer's header block is faulty at octet 0: unknown fault"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
