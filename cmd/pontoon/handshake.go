package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"time"

	"golang.org/x/net/http2"
)

// refusalWait is how long a server may take to say that it refuses a certificate: with
// TLS 1.3 that comes after the handshake.
const refusalWait = 2 * time.Second

// refusal says why no TLS connection to any of the endpoints comes about; gRPC does not
// tell, it tries until its time is over. Nil: there is one, or nobody is there.
func refusal(ctx context.Context, endpoints []string, cfg *tls.Config) (err error) {
	for _, ep := range endpoints {
		if err = refusedBy(ctx, ep, cfg); err == nil {
			return nil
		}
	}
	return err
}

func refusedBy(ctx context.Context, endpoint string, cfg *tls.Config) error {
	host := endpoint
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		host = u.Host
	}
	ctx, cancel := context.WithTimeout(ctx, refusalWait)
	defer cancel()
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil
	}
	defer plain.Close()
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(host) // it was dialed
	}
	conn := tls.Client(plain, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		return err
	}
	return nil
}
