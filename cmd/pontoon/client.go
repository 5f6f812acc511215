package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// adminFlags are what every command that talks to a running cluster takes.
type adminFlags struct {
	endpoints []string
	timeout   time.Duration
	output    string

	caFile, certFile, keyFile string
	insecureTLS               bool   // do not verify the server's certificate
	user                      string // name, or name:password
}

func (f *adminFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.endpoints, "endpoints", []string{"127.0.0.1:2379"}, "client endpoints of the cluster, tried in order")
	cmd.Flags().DurationVar(&f.timeout, "command-timeout", 10*time.Second, "how long one request may take")
	cmd.Flags().StringVar(&f.caFile, "cacert", "", "CA of the servers' certificates")
	cmd.Flags().StringVar(&f.certFile, "cert", "", "certificate to show to the servers")
	cmd.Flags().StringVar(&f.keyFile, "key", "", "its key")
	cmd.Flags().BoolVar(&f.insecureTLS, "insecure-skip-tls-verify", false, "do not verify the servers' certificates")
	cmd.Flags().StringVar(&f.user, "user", "", "name:password of an administrator, where authentication is on")
	addOutput(cmd, &f.output)
}

// call runs one request against the first endpoint that can be reached.
func (f *adminFlags) call(ctx context.Context, fn func(context.Context, pontoonpb.AdminClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if len(f.endpoints) == 0 {
		return fmt.Errorf("--endpoints must not be empty")
	}
	var last error
	for _, ep := range f.endpoints {
		conn, err := f.dial(ep)
		if err != nil {
			return fmt.Errorf("--endpoints %q: %w", ep, err)
		}
		authed, err := f.login(ctx, conn)
		if err == nil {
			err = fn(authed, pontoonpb.NewAdminClient(conn))
		}
		conn.Close()
		if err == nil {
			return nil
		}
		last = err
		if s, ok := status.FromError(err); ok {
			last = &callError{endpoint: ep, status: s}
		}
		if !unreachable(err) {
			break
		}
	}
	return last
}

// callError is what an endpoint answered.
type callError struct {
	endpoint string
	status   *status.Status
}

func (e *callError) Error() string              { return e.endpoint + ": " + e.status.Message() }
func (e *callError) GRPCStatus() *status.Status { return e.status }

func unreachable(err error) bool { return status.Code(err) == codes.Unavailable }

// isTransient says whether the same request may be answered a little later.
func isTransient(err error) bool {
	return unreachable(err) || status.Code(err) == codes.DeadlineExceeded
}
