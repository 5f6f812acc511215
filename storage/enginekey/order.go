package enginekey

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const sentinel = 0x00

// Split returns the length of the prefix of an engine key.
func Split(key []byte) int {
	if len(key) == 0 {
		return 0
	}
	n := int(key[len(key)-1])
	if n > len(key) {
		return len(key)
	}
	return len(key) - n
}

// Compare orders engine keys: prefix first, then suffix (I1).
func Compare(a, b []byte) int {
	as, bs := Split(a), Split(b)
	if c := bytes.Compare(a[:as], b[:bs]); c != 0 {
		return c
	}
	return bytes.Compare(a[as:], b[bs:])
}

// Equal reports whether Compare would return 0. The last byte fixes the split,
// so equal keys are equal bytes.
func Equal(a, b []byte) bool { return bytes.Equal(a, b) }

// Abbreviate returns the first eight bytes of the prefix as a number.
func Abbreviate(key []byte) uint64 {
	p := key[:Split(key)]
	if len(p) >= 8 {
		return binary.BigEndian.Uint64(p)
	}
	var v uint64
	for _, c := range p {
		v = v<<8 | uint64(c)
	}
	return v << (8 * (8 - len(p)))
}

// Separator appends to dst a short key k with a <= k < b.
func Separator(dst, a, b []byte) []byte {
	ap, bp := a[:Split(a)], b[:Split(b)]
	i := 0
	for i < len(ap) && i < len(bp) && ap[i] == bp[i] {
		i++
	}
	if i == len(ap) || i == len(bp) || ap[i] > bp[i] {
		return append(dst, a...)
	}
	// Raising any byte of ap from i on makes a key above a; at i itself it must
	// stay below b.
	j := i
	if ap[i]+1 >= bp[i] {
		j = i + 1
	}
	for j < len(ap) && ap[j] == 0xff {
		j++
	}
	if j == len(ap) || j+2 >= len(a) {
		return append(dst, a...)
	}
	return append(append(dst, ap[:j]...), ap[j]+1, sentinel)
}

// Successor appends to dst a short key k with a <= k.
func Successor(dst, a []byte) []byte {
	if len(a) == 0 {
		return append(dst, sentinel)
	}
	p := a[:Split(a)]
	for i, c := range p {
		if c != 0xff {
			if i+2 >= len(a) {
				break
			}
			return append(append(dst, p[:i]...), c+1, sentinel)
		}
	}
	return append(dst, a...)
}

// ImmediateSuccessor appends to dst the smallest prefix after the prefix a.
func ImmediateSuccessor(dst, a []byte) []byte {
	return append(append(dst, a...), sentinel)
}

// Validate returns an error for bytes that are no engine key.
func Validate(key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("enginekey: empty key")
	}
	if n := int(key[len(key)-1]); n > len(key) {
		return fmt.Errorf("enginekey: key of %d bytes claims a suffix of %d", len(key), n)
	}
	return nil
}
