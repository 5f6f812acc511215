package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/pontoon-kv/pontoon/node/config"
	"github.com/pontoon-kv/pontoon/node/members"
	"github.com/pontoon-kv/pontoon/node/membership"
	"github.com/pontoon-kv/pontoon/node/peers"
	"github.com/pontoon-kv/pontoon/node/version"
	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/rangeraft/transport"
)

const (
	joinTimeout  = 10 * time.Second       // of one try of a node without data
	greetTimeout = 500 * time.Millisecond // of asking around before a restart
	maxJoinPause = 2 * time.Second

	// How long members have to hear of each other's changes.
	settleTimeout  = 3 * time.Second
	minSettlePause = 50 * time.Millisecond
	maxSettlePause = 500 * time.Millisecond
)

// joinCluster makes a node without data a member of the cluster that one of the
// given addresses belongs to. While none can be reached it goes on trying: the
// nodes of a cluster may come up in any order.
func joinCluster(ctx context.Context, cfg *config.Config) (*membership.Cluster, error) {
	pause := 100 * time.Millisecond
	for {
		reply, err := askAny(ctx, cfg, cfg.Join, aboutSelf(cfg))
		var no *refusal
		if errors.As(err, &no) {
			return nil, err
		}
		if err == nil {
			return memberOf(reply, cfg), nil
		}
		cfg.Logger.Warn("joining the cluster", "through", cfg.Join, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("joining the cluster through %s: %w", strings.Join(cfg.Join, ","), err)
		}
		pause = min(2*pause, maxJoinPause)
	}
}

// joinExisting makes a node without data the member that was added for it. The
// flags must describe the cluster as it is, as in etcd. A member may not have
// heard yet of a change that another one has just carried out, so that flags are
// wrong only if they still are after a while. Asking again changes nothing: a
// node that was added has its record.
func joinExisting(ctx context.Context, cfg *config.Config) (*membership.Cluster, error) {
	flags, err := membership.ParseExisting(cfg.InitialCluster, cfg.Name)
	if err != nil {
		return nil, err
	}
	var others []string
	for name, urls := range flags {
		if name != cfg.Name {
			others = append(others, hosts(urls)...)
		}
	}
	req := aboutSelf(cfg)
	req.PeerUrls, req.Added = flags[cfg.Name], true
	reply, err := askAny(ctx, cfg, others, req)
	if reply == nil {
		cfg.Logger.Warn("asking the members of the cluster", "addresses", others, "error", err)
		return nil, errors.New("cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs")
	}
	settled, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	pause := minSettlePause
	var mismatch error // of the last answer
	for {
		if reply != nil { // somebody answered this time, too
			if mismatch = membership.Validate(reply.ClusterId, reply.Nodes, flags); mismatch == nil {
				break
			}
		}
		select {
		case <-time.After(pause):
		case <-settled.Done():
			return nil, mismatch
		}
		pause = min(2*pause, maxSettlePause)
		reply, err = askAny(settled, cfg, others, req)
	}
	if err != nil { // refused
		return nil, err
	}
	return memberOf(reply, cfg), nil
}

// greet asks the other members whether this node still is one. Whoever answers
// first decides; without an answer the node starts, and hears of it later.
func greet(ctx context.Context, cfg *config.Config, have *membership.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	req := aboutSelf(cfg)
	req.ClusterId, req.NodeId = have.ID, uint64(have.Self)
	reply, _ := askAny(ctx, cfg, othersOf(have), req)
	if reply.GetRemoved() {
		return ErrRemoved
	}
	return nil
}

// othersOf are the addresses of the other members.
func othersOf(c *membership.Cluster) (addresses []string) {
	for _, m := range c.Members {
		if m.ID != c.Self && !m.Removed {
			addresses = append(addresses, hosts(m.PeerURLs)...)
		}
	}
	return addresses
}

// firstTime refuses a founder without data that had some: its votes and what it had
// acknowledged are gone, so that it must not count as the one it was. Only one
// that has started before said where its clients find it. If nobody says so in time it
// starts, as in etcd: the others may be starting, too.
func firstTime(ctx context.Context, cfg *config.Config, c *membership.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	others := othersOf(c)
	answers, err := askAll(ctx, cfg, others, &pontoonpb.JoinRequest{ClusterId: c.ID})
	if err != nil {
		return err
	}
	for range others {
		reply := (<-answers).reply
		if reply.GetClusterId() != c.ID {
			continue
		}
		if self := members.Find(reply.Nodes, c.Self); self != nil && len(self.ClientUrls) > 0 {
			return fmt.Errorf("member %x has already been bootstrapped; without its data directory it cannot go on: "+
				"remove the member, and let a new one join", self.NodeId)
		}
	}
	return nil
}

// aboutSelf is what a node says of itself.
func aboutSelf(cfg *config.Config) *pontoonpb.JoinRequest {
	tiers, _ := cfg.Tiers() // checked by Complete
	return &pontoonpb.JoinRequest{
		Name: cfg.Name, PeerUrls: cfg.AdvertisePeerURLs, ClientUrls: cfg.AdvertiseClientURLs,
		Locality: tiers, Version: version.Pontoon,
	}
}

// refusal is a member's reason not to let a node in.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// askAny sends the request to all addresses at once and returns the first
// answer; a refusal comes with the answer that holds it.
func askAny(ctx context.Context, cfg *config.Config, addresses []string, req *pontoonpb.JoinRequest) (*pontoonpb.JoinReply, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	answers, err := askAll(ctx, cfg, addresses, req)
	if err != nil {
		return nil, err
	}
	err = errors.New("no address of a member is known")
	for range addresses {
		a := <-answers
		if a.err == nil {
			if a.reply.Refused != "" {
				return a.reply, &refusal{a.reply.Refused}
			}
			return a.reply, nil
		}
		err = a.err
	}
	return nil, err
}

// answer is what became of one request to join.
type answer struct {
	reply *pontoonpb.JoinReply
	err   error
}

// askAll sends the request to all addresses at once. One answer of each comes, by the
// end of ctx.
func askAll(ctx context.Context, cfg *config.Config, addresses []string, req *pontoonpb.JoinRequest) (<-chan answer, error) {
	_, creds, err := peerSide(cfg)
	if err != nil {
		return nil, err
	}
	dialer := peers.New(peers.Options{Self: proto.NodeID(req.NodeId), Dial: peerDial(creds), Connect: connector(cfg)})
	answers := make(chan answer, len(addresses))
	for _, to := range addresses {
		go func() {
			reply, err := askOne(ctx, dialer, to, req)
			answers <- answer{reply, err}
		}()
	}
	return answers, nil
}

func askOne(ctx context.Context, dialer *peers.Peers, to string, req *pontoonpb.JoinRequest) (*pontoonpb.JoinReply, error) {
	conn, err := dialer.Dial(to)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return pontoonpb.NewPeerClient(conn).Join(ctx, req)
}

// peerDial are the options of every connection to another node.
func peerDial(creds credentials.TransportCredentials) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(transport.Codec())),
		grpc.WithTransportCredentials(creds),
	}
}

// connector is how connections to other nodes are opened, nil for the usual way.
func connector(cfg *config.Config) func(context.Context, string) (net.Conn, error) {
	if cfg.Network == nil {
		return nil
	}
	return cfg.Network.Dial
}

// memberOf turns a member's answer into what this node begins with.
func memberOf(reply *pontoonpb.JoinReply, cfg *config.Config) *membership.Cluster {
	c := &membership.Cluster{ID: reply.ClusterId, Self: proto.NodeID(reply.Node.NodeId)}
	c.SetMembers(reply.Nodes)
	for _, d := range reply.Ranges {
		if proto.RangeID(d.RangeId) == proto.RootRange {
			c.SetRoot(d)
		}
	}
	cfg.Logger.Info("joined", "cluster", fmt.Sprintf("%x", c.ID), "node", fmt.Sprintf("%x", uint64(c.Self)), "members", len(c.Members))
	return c
}

// hosts returns the HOST:PORT parts of URLs.
func hosts(urls []string) (list []string) {
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && u.Host != "" && !slices.Contains(list, u.Host) {
			list = append(list, u.Host)
		}
	}
	return list
}
