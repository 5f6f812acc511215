package limits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// echo answers every put without doing anything.
type echo struct {
	etcdserverpb.UnimplementedKVServer
}

// Put implements etcdserverpb.KVServer.
func (echo) Put(context.Context, *etcdserverpb.PutRequest) (*etcdserverpb.PutResponse, error) {
	return &etcdserverpb.PutResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: 1 << 60, MemberId: 1 << 61, Revision: 1 << 20, RaftTerm: 2}}, nil
}

// ServeEcho serves on a loopback port, writes the address as one line to out and
// returns when ctx or in ends: the end of the process that started this one ends
// it too.
func ServeEcho(ctx context.Context, in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))))
	etcdserverpb.RegisterKVServer(s, echo{})
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	case <-ended:
	}
	s.Stop()
	return <-served
}
