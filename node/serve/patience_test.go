package serve

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// dribble writes text a byte at a time until the other side has had enough, and
// then says what it is left with.
func dribble(t *testing.T, addr, text string) error {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; i < len(text); i++ {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
		}
	}()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// Whoever says nothing, or next to nothing, is turned away, encrypted or not,
// and nobody else waits for it.
func TestSlowClientsAreTurnedAway(t *testing.T) {
	web := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	s := NewServers(slog.New(slog.DiscardHandler), Patience{Greeting: 300 * time.Millisecond, Headers: 300 * time.Millisecond})
	t.Cleanup(s.Stop)
	may := make(chan struct{})
	close(may)
	sample := httptest.NewTLSServer(web) // for its certificate
	t.Cleanup(sample.Close)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	under, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	encrypted := tls.NewListener(under, &tls.Config{Certificates: sample.TLS.Certificates})
	s.Both(grpc.NewServer(), web, []net.Listener{plain, encrypted}, may)

	const never = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for name, c := range map[string]struct{ addr, text string }{
		"silent":                  {plain.Addr().String(), ""},
		"silent, encrypted":       {under.Addr().String(), ""},
		"half a preface":          {plain.Addr().String(), "PRI * HTTP/2.0\r\n"},
		"headers without an end":  {plain.Addr().String(), "GET / HTTP/1.1\r\nHost: x\r\nX-Never: " + never},
		"handshake without end":   {under.Addr().String(), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + never},
		"a TLS record of nothing": {under.Addr().String(), "\x16\x03"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := dribble(t, c.addr, c.text); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection stays")
			}
			client := sample.Client()
			url := "https://" + c.addr
			if c.addr == plain.Addr().String() {
				url = "http://" + c.addr
			}
			resp, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		})
	}
}
