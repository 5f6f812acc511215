// Package filler makes values of a measurement.
package filler

import "math/rand/v2"

// Text is text of so many bytes, always the same, that does not compress away.
func Text(size int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('!' + rng.IntN(90))
	}
	return string(b)
}
