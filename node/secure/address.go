package secure

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
)

// checkAddress holds the address a certificate comes from against those that it
// names, as etcd does: one that names none comes from anywhere.
func checkAddress(ctx context.Context, cert *x509.Certificate, remote string) error {
	host, _, err := net.SplitHostPort(remote)
	if err != nil || net.ParseIP(host) == nil {
		return nil // a socket of this machine
	}
	if len(cert.IPAddresses) == 0 && len(cert.DNSNames) == 0 {
		return nil
	}
	if cert.VerifyHostname(host) == nil {
		return nil
	}
	for _, name := range cert.DNSNames {
		if resolvesTo(ctx, name, host) {
			return nil
		}
	}
	return fmt.Errorf("tls: %q does not match any of DNSNames %q or IPAddresses %v of the certificate", host, cert.DNSNames, cert.IPAddresses)
}

// resolvesTo reports whether a name, or a name below a wildcard, has the
// address.
func resolvesTo(ctx context.Context, name, addr string) bool {
	domain, wildcard := strings.CutPrefix(name, "*.")
	if !wildcard {
		addrs, err := net.DefaultResolver.LookupHost(ctx, name)
		return err == nil && slices.Contains(addrs, addr)
	}
	names, err := net.DefaultResolver.LookupAddr(ctx, addr)
	return err == nil && slices.ContainsFunc(names, func(n string) bool {
		first, rest, ok := strings.Cut(strings.TrimSuffix(n, "."), ".")
		return ok && first != "" && rest == domain
	})
}
