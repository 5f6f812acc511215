package auth

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/auth"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// Sequencer tells what auth epoch is in force.
type Sequencer interface {
	// AuthEpoch is the newest epoch heard of. Does not block.
	AuthEpoch() uint64
	// Confirm returns once a reply came that was asked for after the call began:
	// AuthEpoch is then no older than that.
	Confirm(ctx context.Context) error
}

// Options configure a Guard.
type Options struct {
	// Token is etcd's --auth-token: "simple" or "jwt,...".
	Token string
	// TokenTTL is how long a simple token is good. Default 5 min, as in etcd.
	TokenTTL time.Duration
	// BcryptCost of password hashes. Default 10, as in etcd.
	BcryptCost int
	// ClientCertAuth lets a client be known by its certificate.
	ClientCertAuth bool
	// MaxTxnOps is etcd's --max-txn-ops. Default 128, as in etcd.
	MaxTxnOps int
	// MaxRequestBytes is etcd's --max-request-bytes. Default 1.5 MiB, as in etcd.
	MaxRequestBytes int
	Logger          *slog.Logger

	simple bool
	used   *renewals // of simple tokens
	tokens auth.TokenProvider
}

func (o *Options) complete() (err error) {
	if o.TokenTTL <= 0 {
		o.TokenTTL = 5 * time.Minute
	}
	if o.BcryptCost == 0 {
		o.BcryptCost = bcrypt.DefaultCost
	}
	if o.BcryptCost < bcrypt.MinCost || o.BcryptCost > bcrypt.MaxCost {
		return fmt.Errorf("--bcrypt-cost=%d must be between %d and %d", o.BcryptCost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	if o.MaxTxnOps <= 0 {
		o.MaxTxnOps = etcdop.DefaultMaxTxnOps
	}
	if o.MaxRequestBytes <= 0 {
		o.MaxRequestBytes = etcdop.DefaultMaxRequestBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	spec := o.Token
	if kind, _, _ := strings.Cut(o.Token, ","); kind == "" || kind == "simple" {
		o.simple, spec = true, "" // simple tokens are made here
		o.used = newRenewals(o.TokenTTL)
	}
	o.tokens, err = auth.NewTokenProvider(zap.NewNop(), spec, nil, o.TokenTTL)
	if err != nil {
		return fmt.Errorf("--auth-token=%q: %w", o.Token, err)
	}
	return nil
}

// Guard enforces the rules of the newest epoch that the node has heard of.
type Guard struct {
	opts   Options
	sender Sender
	seq    Sequencer
	rules  atomic.Pointer[Rules] // nil until read once (I4)
	turn   chan struct{}         // one token: a reload is under way
}

// NewGuard returns a guard that has not read any rules yet.
func NewGuard(sender Sender, seq Sequencer, opts Options) (*Guard, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	return &Guard{opts: opts, sender: sender, seq: seq, turn: make(chan struct{}, 1)}, nil
}

// Current returns the rules of the newest epoch heard of, reading them if need
// be.
func (g *Guard) Current(ctx context.Context) (*Rules, error) {
	for {
		if r := g.rules.Load(); r != nil && r.epoch >= g.seq.AuthEpoch() {
			return r, nil
		}
		select {
		case g.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		err := g.reload(ctx)
		<-g.turn
		if err != nil {
			return nil, proto.ClientError(err)
		}
	}
}

// Revision is etcd's auth revision as of the rules read last, 0 before the
// first. It does not block.
func (g *Guard) Revision() uint64 {
	if r := g.rules.Load(); r != nil {
		return r.store.Revision()
	}
	return 0
}

func (g *Guard) reload(ctx context.Context) error {
	if r := g.rules.Load(); r != nil && r.epoch >= g.seq.AuthEpoch() {
		return nil // somebody else did
	}
	recs, err := load(ctx, g.sender)
	if err != nil {
		return err
	}
	g.rules.Store(newRules(recs, &g.opts))
	g.opts.Logger.Info("auth rules", "epoch", recs.epoch, "enabled", recs.state.enabled, "users", len(recs.state.users), "roles", len(recs.state.roles))
	return nil
}

// Confirmed returns the rules of an epoch no older than the call.
func (g *Guard) Confirmed(ctx context.Context) (*Rules, error) {
	if err := g.seq.Confirm(ctx); err != nil {
		return nil, proto.ClientError(err)
	}
	return g.Current(ctx)
}

// retries bounds how often a request is checked again because the rules changed
// under it.
const retries = 8

// write runs a change of keys whose permissions check decides. It is run again
// if the rules changed before it took its revision (I2, P9).
func write[Resp any](ctx context.Context, g *Guard, check func(context.Context, caller) error, run func(context.Context) (Resp, error)) (resp Resp, err error) {
	for range retries {
		var r *Rules
		if r, err = g.allow(ctx, check); err != nil {
			return resp, err
		}
		resp, err = run(proto.WithAuthChecked(ctx, r.epoch))
		if err == nil {
			return resp, nil
		}
		if !changed(err) {
			if definite(err) {
				err = g.still(ctx, r, check, err)
			}
			return resp, err
		}
		// The leader knows a newer epoch than this node does.
		if err = g.seq.Confirm(ctx); err != nil {
			return resp, proto.ClientError(err)
		}
	}
	return resp, rpctypes.ErrGRPCAuthOldRevision
}

// Overtaken refuses a change whose caller was checked under an older epoch than
// came with a read revision. A change that finds nothing to change takes no number,
// so nobody else would compare the two (P9).
func Overtaken(ctx context.Context, epoch uint64) error {
	if checked, ok := proto.AuthChecked(ctx); ok && checked < epoch {
		return rpctypes.ErrGRPCAuthOldRevision
	}
	return nil
}

// fetch runs what changes nothing. What it found is given away only if check
// holds under the epoch that came with its read revision, too (I3).
func fetch[Resp any](ctx context.Context, g *Guard, check func(context.Context, caller) error, run func(context.Context) (Resp, error)) (none Resp, err error) {
	r, err := g.allow(ctx, check)
	if err != nil {
		return none, err
	}
	resp, err := run(ctx)
	if refused := g.still(ctx, r, check, nil); refused != nil {
		return none, refused
	}
	return resp, err
}

// still returns err, what came of a request that was checked under r, or, if
// there are newer rules by now, what they say against it: even an error tells
// something.
func (g *Guard) still(ctx context.Context, r *Rules, check func(context.Context, caller) error, err error) error {
	if r.epoch < g.seq.AuthEpoch() {
		if _, refused := g.allow(ctx, check); refused != nil {
			return refused
		}
	}
	return err
}

// confirmed runs something with check under rules no older than the call.
func confirmed[Resp any](ctx context.Context, g *Guard, check func(context.Context, caller) error, run func(context.Context) (Resp, error)) (none Resp, err error) {
	r, err := g.Confirmed(ctx)
	if err != nil {
		return none, err
	}
	if err := r.allow(ctx, check); err != nil {
		return none, err
	}
	return run(ctx)
}

// allow checks a request under the newest rules heard of. What they refuse is
// checked again if there are newer ones: it may have been granted just before.
func (g *Guard) allow(ctx context.Context, check func(context.Context, caller) error) (*Rules, error) {
	r, err := g.Current(ctx)
	if err != nil {
		return nil, err
	}
	refused := r.allow(ctx, check)
	if refused == nil {
		return r, nil
	}
	newer, err := g.Confirmed(ctx)
	if err != nil || newer.epoch == r.epoch {
		return nil, refused
	}
	return newer, newer.allow(ctx, check)
}

// allow checks a request; while authentication is off everything is allowed.
func (r *Rules) allow(ctx context.Context, check func(context.Context, caller) error) error {
	if !r.Enabled() {
		return nil
	}
	c, err := r.caller(ctx)
	if err == nil {
		err = check(ctx, c)
	}
	return clientError(err)
}

// definite reports whether an error says that a change did not happen.
func definite(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.OutOfRange, codes.FailedPrecondition:
		return true
	}
	return false
}

func changed(err error) bool {
	return err != nil && status.Convert(err).Message() == status.Convert(rpctypes.ErrGRPCAuthOldRevision).Message()
}

func isAdmin(_ context.Context, c caller) error { return c.admin() }
func isKnown(_ context.Context, c caller) error { return c.known() }
