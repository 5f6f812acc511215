package kubeload

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
)

// A value is one object as written, with what is needed to verify it:
//
//	+-------+---------+---------+------+---------+-----+--------+-------+
//	| magic | attempt | counter | sent | key len | key | filler | crc64 |
//	| 4     | 8       | 8       | 8    | 2       | n   | ...    | 8     |
//	+-------+---------+---------+------+---------+-----+--------+-------+
//
// attempt is unique in a run, counter grows by one with every update of an
// object, sent is the wall clock of the writer in nanoseconds.
type value struct {
	attempt uint64
	counter uint64
	sent    int64
	key     string
}

const (
	magic    = "k8s\x00" // as Kubernetes marks protobuf objects
	fixed    = len(magic) + 8 + 8 + 8 + 2
	overhead = fixed + 8
)

var table = crc64.MakeTable(crc64.ECMA)

// encode builds a value of about size bytes. The filler is text that compresses
// like an object does.
func (v value) encode(size int, text []byte, rng *rand.Rand) string {
	filler := max(0, size-overhead-len(v.key))
	b := make([]byte, 0, overhead+len(v.key)+filler)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint64(b, v.attempt)
	b = binary.BigEndian.AppendUint64(b, v.counter)
	b = binary.BigEndian.AppendUint64(b, uint64(v.sent))
	b = binary.BigEndian.AppendUint16(b, uint16(len(v.key)))
	b = append(b, v.key...)
	from := rng.IntN(len(text) - filler)
	b = append(b, text[from:from+filler]...)
	b = binary.BigEndian.AppendUint64(b, crc64.Checksum(b, table))
	return string(b)
}

// decode verifies a value that was read under key (I1).
func decode(key, b []byte) (value, error) {
	if len(b) < overhead || string(b[:len(magic)]) != magic {
		return value{}, fmt.Errorf("value of %q: %d bytes that nobody wrote", key, len(b))
	}
	body, sum := b[:len(b)-8], binary.BigEndian.Uint64(b[len(b)-8:])
	if crc64.Checksum(body, table) != sum {
		return value{}, fmt.Errorf("value of %q: checksum differs over %d bytes", key, len(b))
	}
	v := value{
		attempt: binary.BigEndian.Uint64(b[4:]),
		counter: binary.BigEndian.Uint64(b[12:]),
		sent:    int64(binary.BigEndian.Uint64(b[20:])),
	}
	n := int(binary.BigEndian.Uint16(b[28:]))
	if fixed+n > len(body) || string(b[fixed:fixed+n]) != string(key) {
		return value{}, fmt.Errorf("value of %q was written for another key", key)
	}
	v.key = string(key)
	return v, nil
}

// fillerText makes text with the entropy of encoded objects: repeated field
// names, random identifiers.
func fillerText(rng *rand.Rand, size int) []byte {
	words := []string{
		"metadata", "namespace", "ownerReferences", "resourceVersion", "managedFields", "kube-controller-manager",
		"f:status", "f:conditions", "lastTransitionTime", "containers", "image", "registry.example/app", "volumeMounts",
		"serviceAccount", "tolerations", "True", "Ready", "ContainersReady", "terminationGracePeriodSeconds", "labels",
	}
	b := make([]byte, 0, size+64)
	for len(b) < size {
		if rng.IntN(3) == 0 {
			b = fmt.Appendf(b, "%016x", rng.Uint64())
		} else {
			b = append(b, words[rng.IntN(len(words))]...)
		}
		b = append(b, '\n', byte(rng.IntN(32)))
	}
	return b[:size]
}
