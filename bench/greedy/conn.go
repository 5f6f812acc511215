package greedy

import (
	"context"
	"fmt"
	"math"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// dialer opens a connection to host:port.
type dialer func(ctx context.Context, addr string) (net.Conn, error)

// connect returns a bare gRPC connection: an official client would ping, and find
// out that nobody reads. via nil: over TCP.
func connect(endpoint string, via dialer) (*grpc.ClientConn, error) {
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}
	if via != nil {
		opts = append(opts, grpc.WithContextDialer(via))
	}
	return grpc.NewClient(endpoint, opts...)
}

// readBytes is what a stalling connection reads: enough to ask, and for an answer
// to begin.
const readBytes = 64 << 10

// stalling is a connection whose client stops reading.
type stalling struct {
	net.Conn
	left   int           // of one reader: gRPC has no more
	closed chan struct{} // by close
	close  func()
}

func dialStalling(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return newStalling(conn, readBytes), nil
}

func newStalling(conn net.Conn, bytes int) *stalling {
	closed := make(chan struct{})
	return &stalling{Conn: conn, left: bytes, closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// Read reads what is left, then waits for Close.
func (c *stalling) Read(p []byte) (int, error) {
	if c.left == 0 {
		<-c.closed
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// Close closes the connection.
func (c *stalling) Close() error {
	c.close()
	return c.Conn.Close()
}

// sizes takes of an answer, an *int, only its size: to decode long lists would
// take the CPU that the bystanders need.
type sizes struct{}

func (sizes) Name() string { return "proto" }

func (sizes) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	b, err := proto.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (sizes) Unmarshal(data mem.BufferSlice, v any) error {
	size, ok := v.(*int)
	if !ok {
		return fmt.Errorf("%T takes no size", v)
	}
	*size = data.Len()
	return nil
}
