package cut_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/pontoon-kv/pontoon/bench/cut"
)

// world is two nodes: the test's process is node "a", an echo server node "b".
func world(t *testing.T) (*cut.Net, string) {
	t.Helper()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := front.Addr().String()
	front.Close()
	n := cut.New(slog.New(slog.DiscardHandler))
	if err := n.Front("b", addr, echo.Addr().String(), func() int { return 0 }); err != nil {
		t.Fatal(err)
	}
	// "a" has no front that anybody uses; its process is this one.
	if err := n.Front("a", "127.0.0.1:0", echo.Addr().String(), os.Getpid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		echo.Close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, addr
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// heard reads what comes within a time.
func heard(c net.Conn, d time.Duration) (string, error) {
	buf := make([]byte, 64)
	_ = c.SetReadDeadline(time.Now().Add(d))
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func mustHear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if got, err := heard(c, 10*time.Second); got != want || err != nil {
		t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

func mustBeSilent(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := heard(c, 150*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %q, %v over a link that is cut", got, err)
	}
}

// What a cut held back arrives after healing, in each direction (I1, I2).
func TestCutAndHeal(t *testing.T) {
	n, addr := world(t)
	for _, dir := range [][2]string{{"a", "b"}, {"b", "a"}} {
		c := dial(t, addr)
		say(t, c, "one")
		mustHear(t, c, "one")
		n.Cut(dir[0], dir[1], false)
		say(t, c, "two")
		mustBeSilent(t, c)
		late := dial(t, addr)
		say(t, late, "three")
		mustBeSilent(t, late)
		n.Heal()
		mustHear(t, c, "two")
		mustHear(t, late, "three")
	}
	if n.Strangers() != 0 {
		t.Errorf("%d connections of unknown processes", n.Strangers())
	}
}

func TestResetClosesSockets(t *testing.T) {
	n, addr := world(t)
	c := dial(t, addr)
	say(t, c, "one")
	mustHear(t, c, "one")
	n.CutBoth("a", "b", true)
	for _, c := range []net.Conn{c, dial(t, addr)} {
		if _, err := heard(c, 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a socket is open: %v", err)
		}
	}
	n.Heal()
	again := dial(t, addr)
	say(t, again, "two")
	mustHear(t, again, "two")
}

// Links of others are not touched.
func TestOtherLinksStayOpen(t *testing.T) {
	n, addr := world(t)
	n.CutBoth("b", "c", false)
	c := dial(t, addr)
	say(t, c, "one")
	mustHear(t, c, "one")
}

func TestAConnectionOfNobodyIsCounted(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := front.Addr().String()
	front.Close()
	m := cut.New(slog.New(slog.DiscardHandler))
	defer m.Close()
	if err := m.Front("b", addr, echo.Addr().String(), func() int { return 0 }); err != nil {
		t.Fatal(err)
	}
	c := dial(t, addr)
	say(t, c, "one")
	for deadline := time.Now().Add(10 * time.Second); m.Strangers() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("not counted")
		}
		_, _ = heard(c, 10*time.Millisecond)
	}
}

// What is sent over a slow link arrives late, and over the others at once.
func TestSlowLink(t *testing.T) {
	n, addr := world(t)
	c := dial(t, addr)
	say(t, c, "one")
	mustHear(t, c, "one")
	n.Slow("a", "b", cut.Slowness{Delay: 300 * time.Millisecond})
	say(t, c, "two")
	mustBeSilent(t, c)
	mustHear(t, c, "two")
	n.Slow("a", "b", cut.Slowness{Lost: 100})
	say(t, c, "three")
	mustBeSilent(t, c)
	mustHear(t, c, "three")
	n.Heal()
	began := time.Now()
	say(t, c, "four")
	mustHear(t, c, "four")
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("a healed link took %v", took)
	}
}

// A connection whose process ended before it was looked for is not counted: there
// is nobody to be told apart.
func TestAConnectionOfTheDeadIsNotCounted(t *testing.T) {
	n, addr := world(t)
	for range 20 {
		c := dial(t, addr)
		c.Close()
	}
	c := dial(t, addr)
	say(t, c, "one")
	mustHear(t, c, "one")
	mustBeSilent(t, c) // longer than an owner is looked for
	if n.Strangers() != 0 {
		t.Errorf("%d strangers", n.Strangers())
	}
}
