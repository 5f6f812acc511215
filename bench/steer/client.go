package steer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Client sends commands to a cluster whose nodes come and go.
type Client struct {
	endpoints func() []string // of nodes that run, now
	dial      []grpc.DialOption

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

// New returns a client; endpoints is asked at every command. dial are added to
// its connections.
func New(endpoints func() []string, dial ...grpc.DialOption) *Client {
	return &Client{endpoints: endpoints, dial: dial, conns: map[string]*grpc.ClientConn{}}
}

// Close closes its connections.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	clear(c.conns)
	return errors.Join(errs...)
}

func (c *Client) conn(endpoint string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.conns[endpoint]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient(endpoint, append(c.dial[:len(c.dial):len(c.dial)], grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err == nil {
		c.conns[endpoint] = conn
	}
	return conn, err
}

// do runs one command at the first node that can be reached.
func (c *Client) do(ctx context.Context, fn func(context.Context, pontoonpb.AdminClient) error) error {
	last := errors.New("no node runs")
	for _, endpoint := range c.endpoints() {
		conn, err := c.conn(endpoint)
		if err != nil {
			return fmt.Errorf("%s: %w", endpoint, err)
		}
		if last = fn(ctx, pontoonpb.NewAdminClient(conn)); last == nil || status.Code(last) != codes.Unavailable || ctx.Err() != nil {
			return last
		}
	}
	return last
}

// Refused says whether the cluster refused a command with a reason, and so did
// nothing.
func Refused(err error) bool {
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.InvalidArgument, codes.NotFound:
		return true
	}
	return false
}

// AlreadySplit says whether a split was refused since the key is a boundary. Of
// a command that was repeated at another node the first one may have done it.
func AlreadySplit(err error) bool {
	return status.Code(err) == codes.FailedPrecondition && strings.Contains(status.Convert(err).Message(), "starts a range already")
}
