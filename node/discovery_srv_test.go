package node_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pontoon-kv/pontoon/node"
	"github.com/pontoon-kv/pontoon/node/config"
)

// A cluster whose nodes find each other in DNS: each node is the one whose record leads
// to where it advertises, all agree who they are, and a restart asks nobody.
func TestDiscoverySRV(t *testing.T) {
	const domain, suffix = "pontoon.test", "blue"
	zone := &zone{service: "_etcd-server-" + suffix + "._tcp." + domain + "."}
	c := layOut(t, 4, func(i int, cfg *config.Config) {
		cfg.InitialCluster, cfg.SRV.Domain, cfg.SRV.Name = "", domain, suffix
		if i < 3 {
			at := zone.add(cfg.AdvertisePeerURLs[0])
			if i > 0 { // one advertises what its name leads to
				cfg.AdvertisePeerURLs = []string{at}
			}
		}
	})
	old := net.DefaultResolver
	net.DefaultResolver = zone.serve(t)
	t.Cleanup(func() { net.DefaultResolver = old })
	stranger := c.nodes[3].cfg
	if _, err := node.Start(within(t, 10*time.Second), stranger); err == nil || !strings.Contains(err.Error(), `cannot find local etcd member "n4" in SRV records`) {
		t.Fatal(err)
	}
	stranger.SRV.Name = "green"
	if _, err := node.Start(within(t, 10*time.Second), stranger); err == nil || !strings.Contains(err.Error(), "error querying DNS SRV records for _etcd-server") {
		t.Fatal(err)
	}
	c.nodes[3].conn.Close()
	c.nodes = c.nodes[:3]
	c.start()
	names := func() (all string) {
		resp, err := pb.NewClusterClient(c.nodes[1].conn).MemberList(within(t, 10*time.Second), &pb.MemberListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range resp.Members {
			all += m.Name + " "
		}
		return all
	}
	wait(t, "every member says its name", func() bool {
		all := names()
		return strings.Contains(all, "n1 ") && strings.Contains(all, "n2 ") && strings.Contains(all, "n3 ")
	})
	rev := c.nodes[0].put("k", "v")
	for _, nd := range c.nodes {
		nd.mustHave("k", "v", rev)
	}
	c.nodes[2].stop()
	zone.gone.Store(true)
	c.nodes[2].start()
	c.nodes[2].waitReady()
	c.nodes[2].mustHave("k", "v", rev)
}

// zone is a DNS server of one service, all of it on loopback.
type zone struct {
	service string
	ports   []uint16
	gone    atomic.Bool // the records are
}

// add makes a record that leads to a URL, and returns its own.
func (z *zone) add(peerURL string) string {
	u, err := url.Parse(peerURL)
	if err != nil {
		panic(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		panic(err)
	}
	z.ports = append(z.ports, uint16(port))
	return fmt.Sprintf("http://h%d.pontoon.test:%d", len(z.ports)-1, port)
}

// serve returns a resolver that asks the zone and nobody else.
func (z *zone) serve(t *testing.T) *net.Resolver {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			z.answer(&m)
			if reply, err := m.Pack(); err == nil {
				server.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func (z *zone) answer(m *dnsmessage.Message) {
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	switch name := q.Name.String(); {
	case z.gone.Load() && q.Type == dnsmessage.TypeSRV:
		m.RCode = dnsmessage.RCodeServerFailure
	case name == z.service && q.Type == dnsmessage.TypeSRV:
		for i, port := range z.ports {
			target := dnsmessage.MustNewName(fmt.Sprintf("h%d.pontoon.test.", i))
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.SRVResource{Port: port, Target: target}})
		}
	case strings.HasPrefix(name, "h") && q.Type == dnsmessage.TypeA:
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}})
	case !strings.HasPrefix(name, "h"):
		m.RCode = dnsmessage.RCodeNameError
	}
}
