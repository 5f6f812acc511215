package diff

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ttlSlack is how far the remaining seconds of a lease may lie apart: both sides
// granted it at different moments, and floor the rest.
const ttlSlack = 3

// Difference is the first disagreement of a run.
type Difference struct {
	// Step is the index of the operation in the sequence.
	Step int
	// Op is the operation, Resolved its request as it was sent.
	Op       Op
	Resolved string
	// What says what differs.
	What string
	// Oracle and Subject are the two answers as text.
	Oracle, Subject string
	// Logs is the end of what the subject has logged.
	Logs string
}

func (d *Difference) Error() string {
	return fmt.Sprintf("step %d: %s\n  operation: %s\n  sent:      %s\n  oracle:    %s\n  subject:   %s",
		d.Step, d.What, d.Op, d.Resolved, d.Oracle, d.Subject)
}

// numbers are what varies between two runs into the same fault.
var numbers = regexp.MustCompile(`\(.*\)|[0-9]+`)

// class is the same for differences that are likely to have the same cause.
func (d *Difference) class() string {
	if d.What != answersDiffer {
		return numbers.ReplaceAllString(d.What, "")
	}
	return fmt.Sprint(d.Op.Kind, strings.HasPrefix(d.Oracle, errorPrefix), strings.HasPrefix(d.Subject, errorPrefix))
}

// answersDiffer is the What of a difference between two answers.
const answersDiffer = "answers differ"

// equalAnswers compares two answers field by field after normalising both.
func equalAnswers(o, s answer) bool {
	if o.note != "" || s.note != "" {
		return false
	}
	if o.code != s.code || o.text != s.text {
		return false
	}
	if !o.ok() {
		return true
	}
	om, sm := normalise(o.msg), normalise(s.msg)
	alignTTL(om, sm)
	return proto.Equal(om, sm)
}

// normalise returns a copy without what may legitimately differ (D3).
func normalise(m proto.Message) proto.Message {
	m = proto.Clone(m)
	if h, ok := m.(interface{ GetHeader() *pb.ResponseHeader }); ok {
		maskHeader(h.GetHeader())
	}
	switch r := m.(type) {
	case *pb.LeaseTimeToLiveResponse:
		slices.SortFunc(r.Keys, bytes.Compare) // etcd lists them in the order of a Go map
	case *pb.LeaseLeasesResponse:
		// etcd sorts by remaining time, of which ties and clock reads decide.
		slices.SortFunc(r.Leases, func(a, b *pb.LeaseStatus) int { return cmp.Compare(a.ID, b.ID) })
	}
	return m
}

// maskHeader replaces ids and the term by whether they are set. The headers inside a
// txn response are not masked: etcd sets nothing but the revision there.
func maskHeader(h *pb.ResponseHeader) {
	if h == nil {
		return
	}
	h.ClusterId, h.MemberId, h.RaftTerm = min(h.ClusterId, 1), min(h.MemberId, 1), min(h.RaftTerm, 1)
}

func alignTTL(om, sm proto.Message) {
	o, ok := om.(*pb.LeaseTimeToLiveResponse)
	if !ok {
		return
	}
	s := sm.(*pb.LeaseTimeToLiveResponse)
	if o.TTL > 0 && s.TTL > 0 && max(o.TTL-s.TTL, s.TTL-o.TTL) <= ttlSlack {
		s.TTL = o.TTL
	}
}

// headerRevision is the revision in the header of an answer, 0 if it has none.
func headerRevision(a answer) int64 {
	if a.rev != 0 {
		return a.rev
	}
	if h, ok := a.msg.(interface{ GetHeader() *pb.ResponseHeader }); ok && a.ok() {
		return h.GetHeader().GetRevision()
	}
	return 0
}

// brief is a message as one line of text, with long values cut.
func brief(m proto.Message) string {
	const longest = 64
	if m == nil {
		return "<nothing>"
	}
	m = proto.Clone(m)
	walk(m.ProtoReflect(), func(msg protoreflect.Message, f protoreflect.FieldDescriptor, v protoreflect.Value) {
		if f.Kind() != protoreflect.BytesKind {
			return
		}
		if b := v.Bytes(); len(b) > longest {
			msg.Set(f, protoreflect.ValueOfBytes(fmt.Appendf(nil, "%.16s...(%d bytes, crc %08x)", b, len(b), crc32.ChecksumIEEE(b))))
		}
	})
	text, err := prototext.MarshalOptions{}.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return nameRefs(singleSpaced(text))
}

// briefEvents is a list of events as text.
func briefEvents(events []*mvccpb.Event) string {
	return brief(&pb.WatchResponse{Events: events})
}
