package gateway

import (
	"errors"
	"io"
)

// errTooLarge ends the body of a request.
var errTooLarge = errors.New("a JSON message of the request is too large")

// bounded is a body of one or more JSON messages, none larger than most: a
// decoder keeps a message in memory until it is whole. A stream's body goes on
// for as long as it likes.
type bounded struct {
	io.ReadCloser
	most int64

	size    int64 // of the message that is under way
	depth   int
	text    bool // inside a string
	escaped bool // after a backslash in it
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	for _, c := range p[:n] {
		b.take(c)
		if b.size > b.most {
			return 0, errTooLarge
		}
	}
	return n, err
}

func (b *bounded) take(c byte) {
	b.size++
	switch {
	case b.escaped:
		b.escaped = false
	case b.text && c == '\\':
		b.escaped = true
	case c == '"':
		b.text = !b.text
	case b.text:
	case c == '{' || c == '[':
		b.depth++
	case c == '}' || c == ']':
		if b.depth--; b.depth <= 0 {
			b.depth, b.size = 0, 0
		}
	}
}
