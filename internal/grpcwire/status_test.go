package grpcwire

import (
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestEncodeMessage(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain text!": "plain text!", "100%": "100%25", "a\nb\t": "a%0Ab%09",
		"ü": "%C3%BC", "☺": "%E2%98%BA", "\x7f": "%7F", "\xff": "%EF%BF%BD", "a\xc3(": "a%EF%BF%BD(",
	} {
		if got := EncodeMessage(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestDecodeMessageNeverThrowsAway(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain": "plain", "%41": "A", "%e2%98%BA": "☺", "100%": "100%", "%4": "%4",
		"%zz": "%zz", "%%41": "%A", "a%20b": "a b", "%G1%41": "%G1A",
	} {
		if got := DecodeMessage(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("text with ☺ and 100%")
	f.Add("%E2%98")
	f.Fuzz(func(t *testing.T, s string) {
		e := EncodeMessage(s)
		for i := range len(e) {
			if e[i] < ' ' || e[i] > '~' {
				t.Fatalf("%q is encoded as %q", s, e)
			}
		}
		want := s
		if !utf8.ValidString(s) {
			want = string([]rune(s)) // each octet that is not UTF-8 becomes U+FFFD
		}
		if got := DecodeMessage(e); got != want {
			t.Fatalf("%q comes back as %q", s, got)
		}
		_ = DecodeMessage(s)
	})
}

func TestPlainMessageIsNotCopied(t *testing.T) {
	s := strings.Repeat("plain text ", 10)
	if n := testing.AllocsPerRun(100, func() { _ = DecodeMessage(EncodeMessage(s)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestStatusDetailsRoundTrip(t *testing.T) {
	st, err := status.New(codes.DataLoss, "gone ☺").WithDetails(durationpb.New(5))
	if err != nil {
		t.Fatal(err)
	}
	for _, pad := range []string{"", "="} {
		got := DecodeStatus(codes.DataLoss, "gone ☺", EncodeDetails(st)+pad)
		if got.Code() != codes.DataLoss || got.Message() != "gone ☺" || len(got.Details()) != 1 {
			t.Errorf("got %v with %v", got, got.Details())
		}
	}
	if got := EncodeDetails(status.New(codes.DataLoss, "x")); got != "" {
		t.Errorf("a status without details has %q", got)
	}
}

func TestStatusDetailsMustAgreeWithTheCode(t *testing.T) {
	st, err := status.New(codes.DataLoss, "gone").WithDetails(durationpb.New(5))
	if err != nil {
		t.Fatal(err)
	}
	if got := DecodeStatus(codes.NotFound, "gone", EncodeDetails(st)); got.Code() != codes.Internal {
		t.Errorf("got %v, want INTERNAL", got)
	}
}

func TestBrokenDetailsLeaveTheStatus(t *testing.T) {
	for _, d := range []string{"!!!", EncodeBin("\xff\xff\xff")} {
		if got := DecodeStatus(codes.NotFound, "gone", d); got.Code() != codes.NotFound || got.Message() != "gone" {
			t.Errorf("%q: %v", d, got)
		}
	}
}

func TestParseCode(t *testing.T) {
	for s, want := range map[string]codes.Code{"0": codes.OK, "16": codes.Unauthenticated, "99": 99} {
		if got, ok := ParseCode(s); !ok || got != want {
			t.Errorf("%q: %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "-1", "x", "4294967296", "1 "} {
		if got, ok := ParseCode(s); ok {
			t.Errorf("%q is accepted as %v", s, got)
		}
	}
}
