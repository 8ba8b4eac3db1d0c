package field

import "golang.org/x/net/http2/hpack"

// String literals: https://www.rfc-editor.org/rfc/rfc7541#section-5.2

const huffmanBit = 0x80

// appendString appends s in Huffman code where that is shorter.
func appendString(dst []byte, s string) []byte {
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		dst = appendInteger(dst, huffmanBit, 7, n)
		return hpack.AppendHuffmanString(dst, s)
	}
	return appendOctets(dst, s)
}

// appendOctets appends s as it is.
func appendOctets(dst []byte, s string) []byte {
	dst = appendInteger(dst, 0, 7, uint64(len(s)))
	return append(dst, s...)
}

// readString finds the string literal that begins at p[at]: its octets as they
// came, and whether they are Huffman code. Nothing is allocated: the length is
// believed only as far as octets are present.
func readString(p []byte, at int) (octets []byte, huffman bool, next int, why Reason) {
	n, start, why := readInteger(p, at, 7)
	if why != 0 {
		return nil, false, start, why
	}
	if uint64(n) > uint64(len(p)-start) {
		return nil, false, start, Truncated
	}
	end := start + int(n)
	return p[start:end], p[at]&huffmanBit != 0, end, 0
}

// scratch collects the octets of strings before they become one.
type scratch []byte

// Write lets the Huffman decoder append to s. It never fails.
func (s *scratch) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

// keptScratch is how large a scratch stays between blocks.
const keptScratch = 2 << 10

// decodeHuffman appends the text of a Huffman string and gives just it.
func (s *scratch) decodeHuffman(octets []byte) ([]byte, Reason) {
	start := len(*s)
	if _, err := hpack.HuffmanDecode(s, octets); err != nil {
		return nil, BadHuffman
	}
	return (*s)[start:], 0
}
