package grpcwire

import (
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// "Percent-Byte-Unencoded → 1*( %x20-%x24 / %x26-%x7E ) ; space and VCHAR, except %"
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
func TestEncodeMessage(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain text!": "plain text!", "~}": "~}", "100%": "100%25", "a\nb\t": "a%0Ab%09",
		"ü": "%C3%BC", "☺ ok": "%E2%98%BA ok", "😀": "%F0%9F%98%80", "\x00\x1f\x7f": "%00%1F%7F",
		"\xff": "%EF%BF%BD", "a\xc3(": "a%EF%BF%BD(", "\xff\xfe": "%EF%BF%BD%EF%BF%BD", "\ufffd": "%EF%BF%BD",
		" ": "%20", "  ": "%20%20", "   ": "%20 %20", " a": "%20a", "a ": "a%20", "a b": "a b", " ü ": "%20%C3%BC%20",
	} {
		if got := EncodeMessage(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// "When decoding invalid values, implementations MUST NOT error or throw away
// the message."
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
func TestDecodeMessageNeverThrowsAway(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain": "plain", "%41": "A", "%e2%98%BA": "☺", "100%": "100%", "%4": "%4", "%": "%",
		"%zz": "%zz", "%%41": "%A", "a%20b": "a b", "%G1%41": "%G1A", "%4G%41": "%4GA", "%25%34%31": "%41",
		"%ff": "\ufffd", "%41%ff%fe%42": "A\ufffd\ufffdB", "\xff": "\ufffd", "ü": "ü", "%c3\xbc": "ü", "%C3": "\ufffd",
	} {
		if got := DecodeMessage(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// "A field value MUST NOT start or end with an ASCII whitespace character
// (ASCII SP or HTAB, 0x20 or 0x09)."
// https://www.rfc-editor.org/rfc/rfc9113#section-8.2.1
func FuzzMessage(f *testing.F) {
	f.Add("text with ☺ and 100%")
	f.Add("%E2%98")
	f.Add(" %ff\xff ")
	f.Fuzz(func(t *testing.T, s string) {
		e := EncodeMessage(s)
		for i := range len(e) {
			if e[i] < ' ' || e[i] > '~' {
				t.Fatalf("%q is encoded as %q", s, e)
			}
		}
		if strings.TrimSpace(e) != e {
			t.Fatalf("%q is encoded as %q, which is no field value of HTTP/2", s, e)
		}
		want := s
		if !utf8.ValidString(s) {
			want = string([]rune(s)) // each octet that is not UTF-8 becomes U+FFFD
		}
		if got := DecodeMessage(e); got != want {
			t.Fatalf("%q comes back as %q", s, got)
		}
		got := DecodeMessage(s)
		if !utf8.ValidString(got) || s != "" && got == "" {
			t.Fatalf("%q is decoded as %q", s, got)
		}
		if !strings.Contains(s, "%") && got != want {
			t.Fatalf("%q is decoded as %q", s, got)
		}
	})
}

func TestPlainMessageIsNotCopied(t *testing.T) {
	s := strings.Repeat("plain text, ", 10) + "the end"
	if n := testing.AllocsPerRun(100, func() { _ = DecodeMessage(EncodeMessage(s)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func withDetails(t *testing.T, code codes.Code, message string) *status.Status {
	t.Helper()
	st, err := status.New(code, message).WithDetails(durationpb.New(5), wrapperspb.String("more"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestStatusDetailsRoundTrip(t *testing.T) {
	st := withDetails(t, codes.DataLoss, "gone ☺")
	for _, pad := range []string{"", "="} {
		got := DecodeStatus(codes.DataLoss, "gone ☺", EncodeDetails(st)+pad)
		if got.Code() != codes.DataLoss || got.Message() != "gone ☺" || len(got.Details()) != 2 {
			t.Fatalf("got %v with %v", got, got.Details())
		}
		if d, ok := got.Details()[0].(*durationpb.Duration); !ok || d.GetNanos() != 5 {
			t.Errorf("the first detail is %v", got.Details()[0])
		}
	}
	if got := EncodeDetails(status.New(codes.DataLoss, "x")); got != "" {
		t.Errorf("a status without details has %q", got)
	}
}

// A message that is not UTF-8 does not take the details with it.
func TestDetailsBesideBrokenMessage(t *testing.T) {
	p := withDetails(t, codes.Aborted, "fine").Proto()
	p.Message = "broken \xff"
	got := DecodeStatus(codes.Aborted, "broken \ufffd", EncodeDetails(status.FromProto(p)))
	if got.Message() != "broken \ufffd" || len(got.Details()) != 2 {
		t.Errorf("%q with %v", got.Message(), got.Details())
	}
	// But what is wrong with the details themselves cannot be said at all.
	p.Details[0].TypeUrl = "broken \xff"
	if got := EncodeDetails(status.FromProto(p)); got != "" {
		t.Errorf("details that cannot be marshaled are sent as %q", got)
	}
}

func TestDecodeStatus(t *testing.T) {
	details := func(code codes.Code, message string) string {
		p := withDetails(t, codes.DataLoss, message).Proto()
		p.Code = int32(code)
		b, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return EncodeBin(string(b))
	}
	for _, tt := range []struct {
		name    string
		code    codes.Code
		message string
		bin     string

		want    codes.Code
		text    string // or a part of it
		details int
	}{
		{"no details", codes.NotFound, "gone", "", codes.NotFound, "gone", 0},
		{"they agree", codes.NotFound, "gone", details(codes.NotFound, "gone"), codes.NotFound, "gone", 2},
		{"details say more", codes.NotFound, "gone", details(codes.NotFound, "gone for ever"), codes.NotFound, "gone for ever", 2},
		{"details have no message", codes.NotFound, "gone", details(codes.NotFound, ""), codes.NotFound, "gone", 2},
		{"details have no code", codes.NotFound, "gone", details(0, "gone"), codes.NotFound, "gone", 2},
		{"a code without a name", 77, "what", details(77, "what"), 77, "what", 2},
		{"they contradict each other", codes.NotFound, "gone", details(codes.DataLoss, "lost"), codes.Internal,
			"grpc-status is 5, grpc-status-details-bin says 15; grpc-message is \"gone\"", 0},
		{"OK, and an error", codes.OK, "", details(codes.DataLoss, "lost"), codes.Internal, "grpc-status is 0, grpc-status-details-bin says 15", 0},
		{"OK, and details", codes.OK, "", details(codes.OK, ""), codes.OK, "", 0},
		{"details are no base64", codes.NotFound, "gone", "!!!", codes.NotFound, "gone", 0},
		{"details are no status", codes.NotFound, "gone", EncodeBin("\xff\xff\xff"), codes.NotFound, "gone", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := DecodeStatus(tt.code, tt.message, tt.bin)
			if got.Code() != tt.want || !strings.Contains(got.Message(), tt.text) || tt.want != codes.Internal && got.Message() != tt.text {
				t.Errorf("%v %q, want %v %q", got.Code(), got.Message(), tt.want, tt.text)
			}
			if n := len(got.Details()); n != tt.details {
				t.Errorf("%d details, want %d", n, tt.details)
			}
		})
	}
}

func TestParseCode(t *testing.T) {
	for s, want := range map[string]codes.Code{"0": codes.OK, "16": codes.Unauthenticated, "17": 17, "007": 7, "2147483647": 1<<31 - 1} {
		if got, ok := ParseCode(s); !ok || got != want {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "-1", "+1", "x", "0x1", "1_0", "2147483648", "4294967296", "99999999999999999999", "1 ", " 1", "1.0", "OK"} {
		if got, ok := ParseCode(s); ok {
			t.Errorf("%q is accepted as %v", s, got)
		}
	}
}

// Whatever trailers say: an error stays one, what is said as OK is OK or a
// contradiction, and what was decoded can be sent on.
func FuzzStatus(f *testing.F) {
	f.Add("5", "no such thing", "")
	f.Add("0", "", EncodeBin("\x08\x05"))
	f.Add("3", "m", EncodeBin("\x08\x03\x12\x01x\x1a\x05\n\x01a\x12\x00"))
	f.Add("4294967296", "\xff", "!")
	f.Fuzz(func(t *testing.T, number, message, details string) {
		code, ok := ParseCode(number)
		if !ok {
			return
		}
		s := DecodeStatus(code, message, details)
		if s.Code() != code && (s.Code() != codes.Internal || details == "") {
			t.Fatalf("%d %q %q is %v", code, message, details, s)
		}
		again := EncodeDetails(s)
		if again == "" {
			return
		}
		got := DecodeStatus(s.Code(), s.Message(), again)
		if got.Code() != s.Code() || got.Message() != validUTF8(s.Message()) || len(got.Details()) != len(s.Details()) {
			t.Fatalf("%v comes back as %v", s, got)
		}
	})
}
