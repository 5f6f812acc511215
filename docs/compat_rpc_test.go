package docs

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// rpcNotes say how an RPC that is there differs.
var rpcNotes = map[string]string{
	"Cluster.MemberAdd":      "a member counts for quorums once it holds replicas",
	"Cluster.MemberRemove":   "a member that lives is emptied before it stops",
	"Maintenance.Hash":       "the number is not the one that etcd computes",
	"Maintenance.HashKV":     "the number is not the one that etcd computes; it is equal on every endpoint at a revision",
	"Maintenance.Status":     "leader, term and indexes are the root range's",
	"Maintenance.MoveLeader": "moves the leadership of the root range, to a member with a replica of it",
	"Maintenance.Defragment": "compacts the engine while requests go on",
	"Maintenance.Snapshot":   "one revision over all ranges, in etcd's format",
}

// absent says why an RPC that answers Unimplemented is not there.
const absent = "answers Unimplemented"

// fieldNotes say how a field differs.
var fieldNotes = map[string]string{
	"MemberAddRequest.isLearner": "a learner member holds no replicas until it is promoted",
}

// fieldProbes are requests that show whether a field is honoured where the RPC
// is there without it.
var fieldProbes = map[string]struct {
	method  string
	request proto.Message
}{
	"AlarmRequest.action": {"/etcdserverpb.Maintenance/Alarm", &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_CORRUPT, MemberID: 1}},
}

var described = []protoreflect.FileDescriptor{pb.File_rpc_proto, v3lockpb.File_v3lock_proto, v3electionpb.File_v3election_proto, healthpb.File_grpc_health_v1_health_proto}

// rpcRows asks the node for every RPC that etcd's descriptors name, and returns
// a row for each, for each field of its request, and for each of its paths.
func rpcRows(t *testing.T, n *liveNode) (rpcs, fields, paths []entry) {
	known := knownFields(t)
	seen := map[string]bool{}
	for _, file := range described {
		for s := range each(file.Services().Len(), file.Services().Get) {
			for m := range each(s.Methods().Len(), s.Methods().Get) {
				name := string(s.Name()) + "." + string(m.Name())
				r := withNote(rpcNotes[name])
				if !n.implements(t, m) {
					r = entry{state: no, note: absent}
				}
				bound := bindings(m)
				rpcs = append(rpcs, entry{[]string{"`" + string(m.FullName()) + "`", codesOf(bound)}, r.state, r.note})
				for _, p := range bound {
					paths = append(paths, entry{[]string{"client port", "POST `" + p + "`"}, r.state, r.note})
					n.hasPath(t, p, true)
				}
				fields = append(fields, fieldRows(t, n, m.Input(), r.state == no, known, seen)...)
			}
		}
	}
	for message := range known {
		if !seen[message] {
			t.Errorf("testdata/fields.txt has %s, which no request holds any more", message)
		}
	}
	return rpcs, fields, paths
}

// fieldRows are the fields of a message and of those in it; each must be known.
func fieldRows(t *testing.T, n *liveNode, m protoreflect.MessageDescriptor, unserved bool, known map[string][]string, seen map[string]bool) (rows []entry) {
	name := string(m.Name())
	if seen[name] {
		return nil
	}
	seen[name] = true
	var inner []entry
	left := slices.Clone(known[name])
	for f := range each(m.Fields().Len(), m.Fields().Get) {
		field := string(f.Name())
		at := slices.Index(left, field)
		if at < 0 {
			t.Errorf("%s.%s is new: say in testdata/fields.txt and fieldNotes what becomes of it", name, field)
			continue
		}
		left = slices.Delete(left, at, at+1)
		r := withNote(fieldNotes[name+"."+field])
		probe, probed := fieldProbes[name+"."+field]
		if unserved || probed && !n.answers(t, probe.method, probe.request) {
			r = entry{state: no, note: absent}
		}
		rows = append(rows, entry{[]string{name, "`" + field + "`"}, r.state, r.note})
		if f.Message() != nil {
			inner = append(inner, fieldRows(t, n, f.Message(), unserved, known, seen)...)
		}
	}
	if len(left) > 0 {
		t.Errorf("%s has no %v any more", name, left)
	}
	return append(rows, inner...)
}

// knownFields reads the fields that somebody looked at, by message.
func knownFields(t *testing.T) map[string][]string {
	file, err := os.Open("testdata/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	known := map[string][]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 0 && words[0] != "#" {
			known[words[0]] = words[1:]
		}
	}
	return known
}

// bindings are the paths of a method at the JSON gateway.
func bindings(m protoreflect.MethodDescriptor) (paths []string) {
	rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return nil
	}
	for _, r := range append([]*annotations.HttpRule{rule}, rule.AdditionalBindings...) {
		paths = append(paths, r.GetPost())
	}
	return paths
}

func codesOf(paths []string) string {
	if len(paths) == 0 {
		return "none in etcd"
	}
	return "`" + strings.Join(paths, "` `") + "`"
}

func each[T any](n int, get func(int) T) func(func(T) bool) {
	return func(yield func(T) bool) {
		for i := range n {
			if !yield(get(i)) {
				return
			}
		}
	}
}

// implements reports whether the node has a method. An empty request suffices:
// every other answer than Unimplemented, or none for a while, is one of it.
func (n *liveNode) implements(t *testing.T, m protoreflect.MethodDescriptor) bool {
	t.Helper()
	request, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		t.Fatal(err)
	}
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return n.answers(t, method, request.New().Interface())
	}
	response, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	stream, err := n.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}, method)
	if err == nil {
		err = stream.SendMsg(request.New().Interface())
	}
	if err == nil || errors.Is(err, io.EOF) {
		stream.CloseSend()
		err = stream.RecvMsg(response.New().Interface())
	}
	return status.Code(err) != codes.Unimplemented
}

const answerTimeout = 2 * time.Second

func (n *liveNode) answers(t *testing.T, method string, request proto.Message) bool {
	t.Helper()
	desc, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")))
	if err != nil {
		t.Fatal(err)
	}
	response, err := protoregistry.GlobalTypes.FindMessageByName(desc.(protoreflect.MethodDescriptor).Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	return status.Code(n.conn.Invoke(ctx, method, request, response.New().Interface())) != codes.Unimplemented
}
