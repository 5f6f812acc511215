package auth

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/auth"
	"go.uber.org/zap"
	"google.golang.org/grpc/metadata"

	"github.com/pontoon-kv/pontoon/storage/etcdop"
)

// Rules are who may do what as of one auth epoch. They do not change.
type Rules struct {
	epoch  uint64
	store  auth.AuthStore
	mem    *memory
	secret []byte
	opts   *Options
}

func newRules(r *records, opts *Options) *Rules {
	mem := &memory{state: r.state.clone()}
	// The store speaks of what it finds on zap; nothing of it is news here.
	store := auth.NewAuthStore(zap.NewNop(), mem, opts.tokens, opts.BcryptCost)
	return &Rules{epoch: r.epoch, store: store, mem: mem, secret: r.secret, opts: opts}
}

// Enabled reports whether authentication is on.
func (r *Rules) Enabled() bool { return r.store.IsAuthEnabled() }

// caller is the user behind a request under some rules.
type caller struct {
	*Rules
	info *auth.AuthInfo // never nil; empty: nobody
}

// caller finds out whose request ctx belongs to: by its token, else, where
// client certificates are checked, by the common name of the certificate.
func (r *Rules) caller(ctx context.Context) (caller, error) {
	c := caller{r, &auth.AuthInfo{}}
	if !r.Enabled() {
		return c, nil
	}
	info, err := r.byToken(ctx)
	if err != nil {
		return c, err
	}
	if info == nil && r.opts.ClientCertAuth {
		info = r.store.AuthInfoFromTLS(ctx)
	}
	if info != nil {
		c.info = info
	}
	return c, nil
}

func (r *Rules) byToken(ctx context.Context) (*auth.AuthInfo, error) {
	if !r.opts.simple {
		return r.store.AuthInfoFromCtx(ctx)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for _, field := range []string{rpctypes.TokenFieldNameGRPC, rpctypes.TokenFieldNameSwagger} {
		if len(md[field]) == 0 {
			continue
		}
		name, ok := checkToken(r.secret, r.mem.GetUser, bearer(md[field][0]), r.opts.used, time.Now())
		if !ok {
			return nil, auth.ErrInvalidAuthToken
		}
		return &auth.AuthInfo{Username: name, Revision: r.store.Revision()}, nil
	}
	return nil, nil
}

func bearer(token string) string {
	const prefix = "Bearer "
	if len(token) > len(prefix) && token[:len(prefix)] == prefix {
		return token[len(prefix):]
	}
	return token
}

// known requires that somebody authenticated.
func (c caller) known() error {
	if c.Enabled() && c.info.Username == "" {
		return auth.ErrUserEmpty
	}
	return nil
}

// fits refuses what etcd would not put into its log.
func (c caller) fits(r *pb.InternalRaftRequest) error {
	if c.info.Username != "" {
		r.Header = &pb.RequestHeader{Username: c.info.Username, AuthRevision: c.info.Revision}
	}
	return etcdop.CheckSize(r, c.opts.MaxRequestBytes)
}

func (c caller) admin() error { return c.store.IsAdminPermitted(c.info) }

func (c caller) read(key, end []byte) error { return c.store.IsRangePermitted(c.info, key, end) }

func (c caller) put(r *pb.PutRequest) error {
	if err := c.store.IsPutPermitted(c.info, r.Key); err != nil || !r.PrevKv {
		return err
	}
	return c.read(r.Key, nil)
}

func (c caller) delete(r *pb.DeleteRangeRequest) error {
	if err := c.store.IsDeleteRangePermitted(c.info, r.Key, r.RangeEnd); err != nil || !r.PrevKv {
		return err
	}
	return c.read(r.Key, r.RangeEnd)
}

// txn checks all compares and both branches, as etcd does: what a branch not
// taken would have done is not to be found out by trying.
func (c caller) txn(r *pb.TxnRequest) error {
	for _, cmp := range r.Compare {
		if err := c.read(cmp.Key, cmp.RangeEnd); err != nil {
			return err
		}
	}
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			if err := c.op(op); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c caller) op(op *pb.RequestOp) error {
	switch o := op.Request.(type) {
	case *pb.RequestOp_RequestRange:
		return c.read(o.RequestRange.GetKey(), o.RequestRange.GetRangeEnd())
	case *pb.RequestOp_RequestPut:
		if o.RequestPut != nil {
			return c.put(o.RequestPut)
		}
	case *pb.RequestOp_RequestDeleteRange:
		if o.RequestDeleteRange != nil {
			return c.delete(o.RequestDeleteRange)
		}
	case *pb.RequestOp_RequestTxn:
		if o.RequestTxn != nil {
			return c.txn(o.RequestTxn)
		}
	}
	return nil
}

// clientErrors are the auth store's errors as clients know them.
var clientErrors = map[error]error{
	auth.ErrRootUserNotExist:     rpctypes.ErrGRPCRootUserNotExist,
	auth.ErrRootRoleNotExist:     rpctypes.ErrGRPCRootRoleNotExist,
	auth.ErrUserAlreadyExist:     rpctypes.ErrGRPCUserAlreadyExist,
	auth.ErrUserEmpty:            rpctypes.ErrGRPCUserEmpty,
	auth.ErrUserNotFound:         rpctypes.ErrGRPCUserNotFound,
	auth.ErrRoleAlreadyExist:     rpctypes.ErrGRPCRoleAlreadyExist,
	auth.ErrRoleNotFound:         rpctypes.ErrGRPCRoleNotFound,
	auth.ErrRoleEmpty:            rpctypes.ErrGRPCRoleEmpty,
	auth.ErrAuthFailed:           rpctypes.ErrGRPCAuthFailed,
	auth.ErrPermissionNotGiven:   rpctypes.ErrGRPCPermissionNotGiven,
	auth.ErrPermissionDenied:     rpctypes.ErrGRPCPermissionDenied,
	auth.ErrRoleNotGranted:       rpctypes.ErrGRPCRoleNotGranted,
	auth.ErrPermissionNotGranted: rpctypes.ErrGRPCPermissionNotGranted,
	auth.ErrAuthNotEnabled:       rpctypes.ErrGRPCAuthNotEnabled,
	auth.ErrInvalidAuthToken:     rpctypes.ErrGRPCInvalidAuthToken,
	auth.ErrInvalidAuthMgmt:      rpctypes.ErrGRPCInvalidAuthMgmt,
	auth.ErrAuthOldRevision:      rpctypes.ErrGRPCAuthOldRevision,
}

func clientError(err error) error {
	for e, shown := range clientErrors {
		if errors.Is(err, e) {
			return shown
		}
	}
	return err
}
