package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"

	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// Encrypter makes a listener an encrypted one.
type Encrypter interface {
	Listen(net.Listener) (net.Listener, error)
}

// Sockets are options of listening sockets.
type Sockets struct {
	ReusePort    bool // another process may listen on the same port
	ReuseAddress bool // also on an address that a closed connection still holds
	// Open opens HOST:PORT in the place of the operating system. Nil: it does.
	Open func(addr string) (net.Listener, error)
}

// ErrNoCertificate is the refusal of a URL that wants encryption where there is none.
var ErrNoCertificate = errors.New("TLS key/cert must be provided for a URL with HTTPS scheme")

// Listen opens a listener for every URL, those of https and unixs encrypted by
// enc; on an error none stays open. An address that is listed with http and https has
// one listener for both.
func Listen(urls []string, enc Encrypter, sockets Sockets) ([]net.Listener, error) {
	var ls []net.Listener
	for i, raw := range urls {
		at, both := twin(raw, urls)
		if both && at < i {
			continue // has its listener already
		}
		l, err := listen(raw, enc, sockets, both)
		if err != nil {
			CloseListeners(ls)
			return nil, fmt.Errorf("listen on %s: %w", raw, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// CloseListeners closes listeners that no server has taken over.
func CloseListeners(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}

func listen(raw string, enc Encrypter, sockets Sockets, both bool) (net.Listener, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	secure := both || u.Scheme == "https" || u.Scheme == "unixs"
	if secure && enc == nil {
		return nil, ErrNoCertificate
	}
	l, err := open(u, sockets)
	if err != nil || !secure {
		return l, err
	}
	encrypt := enc.Listen
	if both {
		encrypt = func(l net.Listener) (net.Listener, error) { return newEither(l, enc) }
	}
	wrapped, err := encrypt(l)
	if err != nil {
		l.Close()
		return nil, err
	}
	return wrapped, nil
}

func open(u *url.URL, sockets Sockets) (net.Listener, error) {
	if u.Scheme != "unix" && u.Scheme != "unixs" {
		switch {
		case sockets.Open != nil:
			return sockets.Open(u.Host)
		case !sockets.ReusePort && !sockets.ReuseAddress:
			return net.Listen("tcp", u.Host)
		}
		return transport.NewListenerWithOpts(u.Host, "http",
			transport.WithSocketOpts(&transport.SocketOpts{ReusePort: sockets.ReusePort, ReuseAddress: sockets.ReuseAddress}))
	}
	path := u.Host + u.Path
	// What a killed process left behind would be in the way.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}
