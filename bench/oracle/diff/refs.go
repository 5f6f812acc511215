package diff

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// References are numbers far outside what either side can produce, which stand for
// something that is known only when the operation runs (D1). The text form names
// them: revision:now-3, start_revision:compacted+1, lease:L7.
const (
	nowBase       = int64(1) << 40 // + delta: relative to the current revision
	compactedBase = int64(1) << 41 // + delta: relative to the compacted revision
	leaseBase     = int64(1) << 50 // + n: the lease that a grant with n=... was given
	refWindow     = int64(1) << 20
)

// Now is a reference to the current revision plus delta.
func Now(delta int64) int64 { return nowBase + delta }

// Compacted is a reference to the compacted revision plus delta.
func Compacted(delta int64) int64 { return compactedBase + delta }

// Lease is a reference to the lease that the server picked for grant n.
func Lease(n int) int64 { return leaseBase + int64(n) }

func inWindow(v, base int64) bool { return v > base-refWindow && v < base+refWindow }

var (
	numberField = regexp.MustCompile(`\b(\w*revision|lease|ID):\s*(\d+)`)
	namedField  = regexp.MustCompile(`\b(\w*revision|lease|ID):\s*(now|compacted|L)([+-]?\d*)`)
)

// nameRefs replaces the numbers of references by names.
func nameRefs(text string) string {
	return numberField.ReplaceAllStringFunc(text, func(s string) string {
		m := numberField.FindStringSubmatch(s)
		v, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return s
		}
		switch {
		case inWindow(v, nowBase):
			return fmt.Sprintf("%s:now%+d", m[1], v-nowBase)
		case inWindow(v, compactedBase):
			return fmt.Sprintf("%s:compacted%+d", m[1], v-compactedBase)
		case inWindow(v, leaseBase):
			return fmt.Sprintf("%s:L%d", m[1], v-leaseBase)
		}
		return s
	})
}

// numberRefs is the inverse of nameRefs.
func numberRefs(text string) string {
	return namedField.ReplaceAllStringFunc(text, func(s string) string {
		m := namedField.FindStringSubmatch(s)
		delta, err := strconv.ParseInt(strings.TrimPrefix(m[3], "+"), 10, 64)
		if err != nil {
			delta = 0
		}
		base := map[string]int64{"now": nowBase, "compacted": compactedBase, "L": leaseBase}[m[2]]
		return fmt.Sprintf("%s:%d", m[1], base+delta)
	})
}

// bigValue is the short form of a large value, which resolve spells out.
func bigValue(size int, fill byte) []byte {
	return fmt.Appendf(nil, "%s%d:%c", bigPrefix, size, fill)
}

const bigPrefix = "\x01big:"

func expandValue(v []byte) []byte {
	rest, ok := bytes.CutPrefix(v, []byte(bigPrefix))
	if !ok {
		return v
	}
	size, fill, ok := bytes.Cut(rest, []byte(":"))
	n, err := strconv.Atoi(string(size))
	if !ok || err != nil || len(fill) != 1 {
		return v
	}
	return bytes.Repeat(fill, n)
}

// resolve returns a copy of a request with its references to revisions and its large
// values replaced by what they stand for.
func resolve(m proto.Message, now, compacted int64) proto.Message {
	m = proto.Clone(m)
	walk(m.ProtoReflect(), func(msg protoreflect.Message, f protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch {
		case f.Kind() == protoreflect.Int64Kind && strings.HasSuffix(string(f.Name()), "revision"):
			if n := v.Int(); inWindow(n, nowBase) {
				msg.Set(f, protoreflect.ValueOfInt64(now+n-nowBase))
			} else if inWindow(n, compactedBase) {
				msg.Set(f, protoreflect.ValueOfInt64(compacted+n-compactedBase))
			}
		case f.Kind() == protoreflect.BytesKind && f.Name() == "value":
			msg.Set(f, protoreflect.ValueOfBytes(expandValue(v.Bytes())))
		}
	})
	return m
}

// mapLeases replaces every lease id in a message, in place.
func mapLeases(m proto.Message, to func(int64) int64) {
	walk(m.ProtoReflect(), func(msg protoreflect.Message, f protoreflect.FieldDescriptor, v protoreflect.Value) {
		if f.Kind() != protoreflect.Int64Kind {
			return
		}
		isID := f.Name() == "ID" && strings.HasPrefix(string(msg.Descriptor().Name()), "Lease")
		if isID || f.Name() == "lease" {
			if id := v.Int(); to(id) != id {
				msg.Set(f, protoreflect.ValueOfInt64(to(id)))
			}
		}
	})
}

// walk visits every set scalar field of a message and of those inside it.
func walk(m protoreflect.Message, visit func(protoreflect.Message, protoreflect.FieldDescriptor, protoreflect.Value)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList():
			if f.Kind() == protoreflect.MessageKind {
				for i := range v.List().Len() {
					walk(v.List().Get(i).Message(), visit)
				}
			}
		case f.Kind() == protoreflect.MessageKind:
			walk(v.Message(), visit)
		default:
			visit(m, f, v)
		}
		return true
	})
}
