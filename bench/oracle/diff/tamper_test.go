package diff

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

// tamper is a gRPC proxy that changes answers on their way: it plants differences.
type tamper struct {
	backend *grpc.ClientConn
	// change gets every answer and returns what is sent instead.
	change func(method string, body []byte) [][]byte
	// fail gets every error and returns what is sent instead.
	fail func(method string, err error) error
}

// start serves the proxy in front of a target and returns the target it makes.
func (p *tamper) start(t *testing.T, target Target) Target {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+target.Endpoints[0], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
	if err != nil {
		t.Fatal(err)
	}
	p.backend = conn
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(p.forward), grpc.MaxRecvMsgSize(math.MaxInt32))
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		_ = conn.Close()
	})
	return Target{Name: "subject", Endpoints: []string{lis.Addr().String()}}
}

func (p *tamper) forward(_ any, client grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(client)
	ctx, cancel := context.WithCancel(client.Context())
	defer cancel()
	backend, err := p.backend.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		for {
			var body []byte
			if client.RecvMsg(&body) != nil {
				_ = backend.CloseSend()
				return
			}
			if backend.SendMsg(body) != nil {
				return
			}
		}
	}()
	for {
		var body []byte
		err := backend.RecvMsg(&body)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if p.fail != nil {
				err = p.fail(method, err)
			}
			return err
		}
		bodies := [][]byte{body}
		if p.change != nil {
			bodies = p.change(method, body)
		}
		for _, b := range bodies {
			if err := client.SendMsg(b); err != nil {
				return err
			}
		}
	}
}

const (
	methodRange  = "/etcdserverpb.KV/Range"
	methodPut    = "/etcdserverpb.KV/Put"
	methodDelete = "/etcdserverpb.KV/DeleteRange"
	methodWatch  = "/etcdserverpb.Watch/Watch"
	methodTTL    = "/etcdserverpb.Lease/LeaseTimeToLive"
	methodLeases = "/etcdserverpb.Lease/LeaseLeases"
	methodTxn    = "/etcdserverpb.KV/Txn"
)

// onAnswer plants a change of the answers of one method. edit returns what is sent
// instead, nil to leave the answer alone.
func onAnswer[M any, P interface {
	*M
	proto.Message
}](method string, edit func(P) []P) func(string, []byte) [][]byte {
	return func(m string, body []byte) [][]byte {
		msg := P(new(M))
		if m != method || proto.Unmarshal(body, msg) != nil {
			return [][]byte{body}
		}
		edited := edit(msg)
		if edited == nil {
			return [][]byte{body}
		}
		var out [][]byte
		for _, e := range edited {
			b, err := proto.Marshal(e)
			if err != nil {
				panic(err)
			}
			out = append(out, b)
		}
		return out
	}
}

// onEvents plants a change of responses with more than min events.
func onEvents(min int, edit func(*pb.WatchResponse) []*pb.WatchResponse) func(string, []byte) [][]byte {
	return onAnswer(methodWatch, func(r *pb.WatchResponse) []*pb.WatchResponse {
		if len(r.Events) <= min {
			return nil
		}
		return edit(r)
	})
}
