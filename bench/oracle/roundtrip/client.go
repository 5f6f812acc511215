package roundtrip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// client speaks to one endpoint of either side, as root once Login was called.
type client struct {
	pb.KVClient
	pb.LeaseClient
	pb.AuthClient
	pb.MaintenanceClient
	conn  *grpc.ClientConn
	token string
}

func dial(endpoint string) (*client, error) {
	c := &client{}
	conn, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(256<<20)), grpc.WithUnaryInterceptor(c.unary), grpc.WithStreamInterceptor(c.stream))
	if err != nil {
		return nil, err
	}
	c.conn = conn
	c.KVClient, c.LeaseClient, c.AuthClient = pb.NewKVClient(conn), pb.NewLeaseClient(conn), pb.NewAuthClient(conn)
	c.MaintenanceClient = pb.NewMaintenanceClient(conn)
	return c, nil
}

func (c *client) as(ctx context.Context) context.Context {
	if c.token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "token", c.token)
}

func (c *client) unary(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return next(c.as(ctx), method, req, reply, conn, opts...)
}

func (c *client) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return next(c.as(ctx), desc, conn, method, opts...)
}

func (c *client) login(ctx context.Context, name, password string) error {
	resp, err := c.Authenticate(ctx, &pb.AuthenticateRequest{Name: name, Password: password})
	if err == nil {
		c.token = resp.Token
	}
	return err
}

// save writes a backup to a file, as etcdctl snapshot save does.
func (c *client) save(ctx context.Context, path string) error {
	stream, err := c.Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return f.Sync()
		}
		if err != nil {
			return err
		}
		if _, err := f.Write(part.Blob); err != nil {
			return err
		}
	}
}

// keys is everything at a revision: whole key-values, one a line.
func (c *client) keys(ctx context.Context, rev int64) (string, error) {
	resp, err := c.Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: rev})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, kv := range resp.Kvs {
		fmt.Fprintf(&b, "%q=%q c%d m%d v%d l%d\n", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
	}
	return b.String(), nil
}

// revision is the current one.
func (c *client) revision(ctx context.Context) (int64, error) {
	resp, err := c.Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: true})
	return resp.GetHeader().GetRevision(), err
}

// leases is every lease with its granted TTL and its keys, by id.
func (c *client) leases(ctx context.Context) ([]string, error) {
	all, err := c.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		return nil, err
	}
	var list []string
	for _, l := range all.Leases {
		ttl, err := c.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: l.ID, Keys: true})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(ttl.Keys, slices.Compare)
		list = append(list, fmt.Sprintf("%x %d %q", l.ID, ttl.GrantedTTL, ttl.Keys))
	}
	slices.Sort(list)
	return list, nil
}

// auth is what can be read of authentication.
func (c *client) auth(ctx context.Context) ([]string, error) {
	status, err := c.AuthStatus(ctx, &pb.AuthStatusRequest{})
	if err != nil {
		return nil, err
	}
	list := []string{fmt.Sprint(status.Enabled, status.AuthRevision)}
	users, err := c.UserList(ctx, &pb.AuthUserListRequest{})
	if err != nil {
		return nil, err
	}
	for _, name := range users.Users {
		u, err := c.UserGet(ctx, &pb.AuthUserGetRequest{Name: name})
		if err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprintf("user %s %q", name, u.Roles))
	}
	roles, err := c.RoleList(ctx, &pb.AuthRoleListRequest{})
	if err != nil {
		return nil, err
	}
	for _, name := range roles.Roles {
		r, err := c.RoleGet(ctx, &pb.AuthRoleGetRequest{Role: name})
		if err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprintf("role %s %v", name, r.Perm))
	}
	slices.Sort(list)
	return list, nil
}
