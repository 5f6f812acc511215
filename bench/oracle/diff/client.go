package diff

import (
	"context"

	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// tokenKey is the metadata key, and the header, that carries a token.
const tokenKey = "authorization"

// bogusClient sends a token that no side has made. It has no index, as the tokens of
// both sides do: on one with an index, etcd waits for that index.
const bogusClient = "bogus"

// keepToken remembers the token of a client; it sends it until it logs in again, also
// when it is no longer valid.
func (s *side) keepToken(client, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[client] = token
}

// token is what a client sends; empty if it has not logged in.
func (s *side) token(client string) string {
	if client == bogusClient {
		return "no-token-of-anybody"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[client]
}

// as adds a client's token to a call.
func (s *side) as(ctx context.Context, client string) context.Context {
	if t := s.token(client); t != "" {
		return metadata.AppendToOutgoingContext(ctx, tokenKey, t)
	}
	return ctx
}

// learnLeader remembers whom a campaign made the leader. Keys and revisions are the
// same on both sides, so the oracle's answer serves both.
func (r *Runner) learnLeader(a answer) {
	if m, ok := a.msg.(*electionpb.CampaignResponse); ok && a.ok() {
		r.leaders[string(m.Leader.GetName())] = m.Leader
	}
}

// nameLeader completes a request that gives nothing but the name of an election by
// the leader that was campaigned for there last, even if it has resigned since (D1).
func (r *Runner) nameLeader(req proto.Message) {
	m, ok := req.(interface{ GetLeader() *electionpb.LeaderKey })
	if !ok || m.GetLeader() == nil {
		return
	}
	l := m.GetLeader()
	if known := r.leaders[string(l.Name)]; known != nil && len(l.Key) == 0 {
		proto.Merge(l, &electionpb.LeaderKey{Key: known.Key, Rev: known.Rev, Lease: known.Lease})
	}
}
