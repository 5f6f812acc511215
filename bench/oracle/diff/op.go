package diff

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// Kind is what an operation does; its value is the verb of the text form.
type Kind string

// The kinds of operations, with the message each carries.
const (
	KindRange       Kind = "range"        // RangeRequest
	KindRangeStream Kind = "range_stream" // RangeRequest
	KindPut         Kind = "put"          // PutRequest
	KindDelete      Kind = "delete"       // DeleteRangeRequest
	KindTxn         Kind = "txn"          // TxnRequest
	KindCompact     Kind = "compact"      // CompactionRequest
	KindGrant       Kind = "grant"        // LeaseGrantRequest
	KindFlash       Kind = "flash"        // LeaseGrantRequest: grant and revoke at once, for short TTLs
	KindExpire      Kind = "expire"       // LeaseGrantRequest: grant, attach N keys, wait until it has expired
	KindRevoke      Kind = "revoke"       // LeaseRevokeRequest
	KindKeepAlive   Kind = "keepalive"    // LeaseKeepAliveRequest
	KindTTL         Kind = "ttl"          // LeaseTimeToLiveRequest
	KindLeases      Kind = "leases"       // LeaseLeasesRequest
	KindOpen        Kind = "watch_open"   // WatchRequest, empty: opens stream N
	KindClose       Kind = "watch_close"  // WatchRequest, empty: closes stream N
	KindWatch       Kind = "watch"        // WatchRequest, sent on stream N
	KindSplit       Kind = "split"        // RangeRequest: the key to split the subject at
	KindMerge       Kind = "merge"        // RangeRequest, empty: merges a range of the subject; N picks it
	KindMove        Kind = "move"         // RangeRequest, empty: moves a replica; N picks
	KindTransfer    Kind = "transfer"     // RangeRequest, empty: moves a leadership; N picks
	KindBarrier     Kind = "barrier"      // RangeRequest, empty: compares watchers and contents
	KindRaw         Kind = "raw"          // PutRequest: key is the gRPC method, value the request's bytes
)

// newMessage makes the empty message of each kind.
var newMessage = map[Kind]func() proto.Message{
	KindRange:       func() proto.Message { return new(pb.RangeRequest) },
	KindRangeStream: func() proto.Message { return new(pb.RangeRequest) },
	KindPut:         func() proto.Message { return new(pb.PutRequest) },
	KindDelete:      func() proto.Message { return new(pb.DeleteRangeRequest) },
	KindTxn:         func() proto.Message { return new(pb.TxnRequest) },
	KindCompact:     func() proto.Message { return new(pb.CompactionRequest) },
	KindGrant:       func() proto.Message { return new(pb.LeaseGrantRequest) },
	KindFlash:       func() proto.Message { return new(pb.LeaseGrantRequest) },
	KindExpire:      func() proto.Message { return new(pb.LeaseGrantRequest) },
	KindRevoke:      func() proto.Message { return new(pb.LeaseRevokeRequest) },
	KindKeepAlive:   func() proto.Message { return new(pb.LeaseKeepAliveRequest) },
	KindTTL:         func() proto.Message { return new(pb.LeaseTimeToLiveRequest) },
	KindLeases:      func() proto.Message { return new(pb.LeaseLeasesRequest) },
	KindOpen:        func() proto.Message { return new(pb.WatchRequest) },
	KindClose:       func() proto.Message { return new(pb.WatchRequest) },
	KindWatch:       func() proto.Message { return new(pb.WatchRequest) },
	KindSplit:       func() proto.Message { return new(pb.RangeRequest) },
	KindMerge:       func() proto.Message { return new(pb.RangeRequest) },
	KindMove:        func() proto.Message { return new(pb.RangeRequest) },
	KindTransfer:    func() proto.Message { return new(pb.RangeRequest) },
	KindBarrier:     func() proto.Message { return new(pb.RangeRequest) },
	KindRaw:         func() proto.Message { return new(pb.PutRequest) },
}

// Op is one operation of a sequence.
type Op struct {
	Kind Kind
	// Gateway chooses the subject's node, modulo their number. A watch stream
	// stays on the gateway that opened it.
	Gateway int
	// N is the watch stream of the watch kinds, the number of keys of KindExpire,
	// the symbol that KindGrant gives to a lease whose id the server picks, and what
	// picks among the subject's ranges and nodes.
	N int
	// Msg is the request, with revisions and leases as in refs.go. It is never
	// changed after the operation was made.
	Msg proto.Message
	// As is the client whose token is sent; empty for none.
	As string
	// JSON sends the operation through the JSON gateway.
	JSON bool
}

// readOnly reports whether the operation can run beside others like it (D2).
func (o Op) readOnly() bool { return o.Kind == KindRange || o.Kind == KindRangeStream }

// onStream reports whether the operation is one of a watch stream.
func (o Op) onStream() bool { return o.Kind == KindOpen || o.Kind == KindClose || o.Kind == KindWatch }

// String is the operation as one line that Parse reads back.
func (o Op) String() string {
	text, err := prototext.MarshalOptions{Multiline: false}.Marshal(o.Msg)
	if err != nil {
		return fmt.Sprintf("%s: %v", o.Kind, err)
	}
	client := ""
	if o.As != "" {
		client = " as=" + o.As
	}
	if o.JSON {
		client += " json"
	}
	return fmt.Sprintf("%s gw=%d n=%d%s | %s", o.Kind, o.Gateway, o.N, client, nameRefs(singleSpaced(text)))
}

// singleSpaced undoes the random second space that prototext puts between fields, so
// that the text of an operation is the same everywhere.
func singleSpaced(text []byte) string {
	var out []byte
	quoted, escaped := false, false
	for i, b := range text {
		switch {
		case escaped:
			escaped = false
		case b == '\\':
			escaped = true
		case b == '"':
			quoted = !quoted
		case b == ' ' && !quoted && i > 0 && text[i-1] == ' ':
			continue
		}
		out = append(out, b)
	}
	return string(out)
}

var opLine = regexp.MustCompile(`^(\w+) gw=(\d+) n=(\d+)(?: as=(\w+))?( json)? \| ?(.*)$`)

// ParseOp reads one line in the form of Op.String.
func ParseOp(line string) (Op, error) {
	m := opLine.FindStringSubmatch(line)
	if m == nil {
		return Op{}, fmt.Errorf("diff: not an operation: %q", line)
	}
	o := Op{Kind: Kind(m[1]), As: m[4], JSON: m[5] != ""}
	msg, ok := messageOf(o.Kind)
	if !ok {
		return Op{}, fmt.Errorf("diff: unknown operation %q", m[1])
	}
	var err error
	if o.Gateway, err = strconv.Atoi(m[2]); err != nil {
		return Op{}, err
	}
	if o.N, err = strconv.Atoi(m[3]); err != nil {
		return Op{}, err
	}
	o.Msg = msg
	if err := prototext.Unmarshal([]byte(numberRefs(m[6])), o.Msg); err != nil {
		return Op{}, fmt.Errorf("diff: %q: %w", line, err)
	}
	return o, nil
}

// Format is a sequence as text, one operation a line.
func Format(ops []Op) string {
	var b strings.Builder
	for _, o := range ops {
		b.WriteString(o.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Parse reads what Format wrote; empty lines and lines that begin with # are
// ignored.
func Parse(text string) ([]Op, error) {
	var ops []Op
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		o, err := ParseOp(line)
		if err != nil {
			return nil, err
		}
		ops = append(ops, o)
	}
	return ops, nil
}
