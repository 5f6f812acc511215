package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// dial opens a connection to an endpoint: over TLS if it says https, or if a
// flag is about certificates.
func (f *adminFlags) dial(endpoint string) (*grpc.ClientConn, error) {
	target, secure := strings.CutPrefix(endpoint, "https://")
	target = strings.TrimPrefix(target, "http://")
	if !secure && f.caFile == "" && f.certFile == "" && !f.insecureTLS {
		return grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	info := transport.TLSInfo{CertFile: f.certFile, KeyFile: f.keyFile, TrustedCAFile: f.caFile, InsecureSkipVerify: f.insecureTLS, Logger: zap.NewNop()}
	cfg := &tls.Config{InsecureSkipVerify: f.insecureTLS}
	if f.caFile != "" || f.certFile != "" {
		made, err := info.ClientConfig()
		if err != nil {
			return nil, err
		}
		cfg = made
	}
	return grpc.NewClient(target, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
}

// login returns a context with the user's token, ctx itself without a user.
func (f *adminFlags) login(ctx context.Context, conn *grpc.ClientConn) (context.Context, error) {
	if f.user == "" {
		return ctx, nil
	}
	name, password, ok := strings.Cut(f.user, ":")
	if !ok {
		return nil, fmt.Errorf("--user %q is not name:password", f.user)
	}
	resp, err := pb.NewAuthClient(conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: name, Password: password})
	if err != nil {
		return nil, err
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, resp.Token), nil
}
