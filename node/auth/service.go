package auth

import (
	"context"
	"encoding/base64"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/auth"
	"golang.org/x/crypto/bcrypt"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// Service is etcd's Auth service.
type Service struct {
	pb.UnimplementedAuthServer
	guard  *Guard
	header func() *pb.ResponseHeader
}

// Service returns the Auth service over the guard's rules.
func (g *Guard) Service(header func() *pb.ResponseHeader) *Service {
	return &Service{guard: g, header: header}
}

// change decides a change on the newest records and writes it, on newer ones
// again if they changed meanwhile (I1). The caller must be an administrator by
// those very records.
func change[Resp any](ctx context.Context, s *Service, do func(auth.AuthStore) (Resp, error)) (resp Resp, err error) {
	for {
		recs, err := load(ctx, s.guard.sender)
		if err != nil {
			return resp, proto.ClientError(err)
		}
		rules := newRules(recs, &s.guard.opts)
		if err := rules.allow(ctx, isAdmin); err != nil {
			return resp, err
		}
		if resp, err = do(rules.store); err != nil {
			return resp, clientError(err)
		}
		op, err := recs.change(&rules.mem.state)
		if err != nil {
			return resp, err
		}
		if op == nil {
			_, err = s.guard.Confirmed(ctx) // the header is no older than the call
			return resp, err
		}
		// With a new secret every token ends, as in etcd when auth is disabled.
		disabled := recs.state.enabled && !rules.mem.state.enabled
		if len(recs.secret) == 0 || disabled {
			op.Puts = append(op.Puts, &pontoonpb.SysRecord{Key: keys.AuthSecret, Value: newSecret()})
		}
		switch err = submit(ctx, s.guard.sender, op); {
		case err == nil:
			// Replies of the sequencer carry the epoch from now on (P9); this node's
			// next request must not be checked under the old one.
			_, err = s.guard.Confirmed(ctx)
			return resp, err
		case proto.HasCode(err, pontoonpb.RangeErrorCode_CONDITION_FAILED):
			if ctx.Err() != nil {
				return resp, proto.ClientError(ctx.Err())
			}
		default:
			return resp, proto.ClientError(err)
		}
	}
}

// ask answers from rules no older than the call.
func ask[Resp any](ctx context.Context, s *Service, check func(context.Context, caller) error, do func(*Rules) (Resp, error)) (none Resp, err error) {
	rules, err := s.guard.Confirmed(ctx)
	if err != nil {
		return none, err
	}
	if err := rules.allow(ctx, check); err != nil {
		return none, err
	}
	resp, err := do(rules)
	return resp, clientError(err)
}

// hash replaces a password by its hash before anything is sent or kept.
func (s *Service) hash(password *string) (string, error) {
	b, err := bcrypt.GenerateFromPassword([]byte(*password), s.guard.opts.BcryptCost)
	*password = ""
	return base64.StdEncoding.EncodeToString(b), err
}

// AuthEnable implements etcdserverpb.AuthServer.
func (s *Service) AuthEnable(ctx context.Context, _ *pb.AuthEnableRequest) (*pb.AuthEnableResponse, error) {
	_, err := change(ctx, s, func(a auth.AuthStore) (struct{}, error) { return struct{}{}, a.AuthEnable() })
	if err != nil {
		return nil, err
	}
	return &pb.AuthEnableResponse{Header: s.header()}, nil
}

// AuthDisable implements etcdserverpb.AuthServer.
func (s *Service) AuthDisable(ctx context.Context, _ *pb.AuthDisableRequest) (*pb.AuthDisableResponse, error) {
	_, err := change(ctx, s, func(a auth.AuthStore) (struct{}, error) { a.AuthDisable(); return struct{}{}, nil })
	if err != nil {
		return nil, err
	}
	return &pb.AuthDisableResponse{Header: s.header()}, nil
}

// AuthStatus implements etcdserverpb.AuthServer. It needs no login,
// but whoever shows a token shows a good one.
func (s *Service) AuthStatus(ctx context.Context, _ *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error) {
	rules, err := s.guard.Confirmed(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := rules.caller(ctx); err != nil {
		return nil, clientError(err)
	}
	return &pb.AuthStatusResponse{Header: s.header(), Enabled: rules.Enabled(), AuthRevision: rules.store.Revision()}, nil
}

// Authenticate implements etcdserverpb.AuthServer.
func (s *Service) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	password := r.Password
	r.Password = "" // it must not turn up in a log
	rules, err := s.guard.Confirmed(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := rules.store.CheckPassword(r.Name, password); err != nil {
		return nil, clientError(err)
	}
	resp := &pb.AuthenticateResponse{Header: s.header()}
	if s.guard.opts.simple {
		if rules, err = s.withSecret(ctx, rules); err != nil {
			return nil, err
		}
		resp.Token = signToken(rules.secret, rules.mem.GetUser(r.Name), time.Now().Add(s.guard.opts.TokenTTL))
		return resp, nil
	}
	issued, err := rules.store.Authenticate(ctx, r.Name, password)
	if err != nil {
		return nil, clientError(err)
	}
	resp.Token = issued.Token
	return resp, nil
}

// UserAdd implements etcdserverpb.AuthServer.
func (s *Service) UserAdd(ctx context.Context, r *pb.AuthUserAddRequest) (resp *pb.AuthUserAddResponse, err error) {
	if r.Options == nil || !r.Options.NoPassword {
		if r.HashedPassword, err = s.hash(&r.Password); err != nil {
			return nil, err
		}
	}
	if resp, err = change(ctx, s, func(a auth.AuthStore) (*pb.AuthUserAddResponse, error) { return a.UserAdd(r) }); err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// UserChangePassword implements etcdserverpb.AuthServer.
func (s *Service) UserChangePassword(ctx context.Context, r *pb.AuthUserChangePasswordRequest) (resp *pb.AuthUserChangePasswordResponse, err error) {
	if r.Password != "" {
		if r.HashedPassword, err = s.hash(&r.Password); err != nil {
			return nil, err
		}
	}
	resp, err = change(ctx, s, func(a auth.AuthStore) (*pb.AuthUserChangePasswordResponse, error) { return a.UserChangePassword(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// UserDelete implements etcdserverpb.AuthServer.
func (s *Service) UserDelete(ctx context.Context, r *pb.AuthUserDeleteRequest) (*pb.AuthUserDeleteResponse, error) {
	resp, err := change(ctx, s, func(a auth.AuthStore) (*pb.AuthUserDeleteResponse, error) { return a.UserDelete(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// UserGrantRole implements etcdserverpb.AuthServer.
func (s *Service) UserGrantRole(ctx context.Context, r *pb.AuthUserGrantRoleRequest) (*pb.AuthUserGrantRoleResponse, error) {
	resp, err := change(ctx, s, func(a auth.AuthStore) (*pb.AuthUserGrantRoleResponse, error) { return a.UserGrantRole(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// UserRevokeRole implements etcdserverpb.AuthServer.
func (s *Service) UserRevokeRole(ctx context.Context, r *pb.AuthUserRevokeRoleRequest) (*pb.AuthUserRevokeRoleResponse, error) {
	resp, err := change(ctx, s, func(a auth.AuthStore) (*pb.AuthUserRevokeRoleResponse, error) { return a.UserRevokeRole(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// RoleAdd implements etcdserverpb.AuthServer.
func (s *Service) RoleAdd(ctx context.Context, r *pb.AuthRoleAddRequest) (*pb.AuthRoleAddResponse, error) {
	resp, err := change(ctx, s, func(a auth.AuthStore) (*pb.AuthRoleAddResponse, error) { return a.RoleAdd(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// RoleDelete implements etcdserverpb.AuthServer.
func (s *Service) RoleDelete(ctx context.Context, r *pb.AuthRoleDeleteRequest) (*pb.AuthRoleDeleteResponse, error) {
	resp, err := change(ctx, s, func(a auth.AuthStore) (*pb.AuthRoleDeleteResponse, error) { return a.RoleDelete(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// RoleGrantPermission implements etcdserverpb.AuthServer.
func (s *Service) RoleGrantPermission(ctx context.Context, r *pb.AuthRoleGrantPermissionRequest) (*pb.AuthRoleGrantPermissionResponse, error) {
	resp, err := change(ctx, s, func(a auth.AuthStore) (*pb.AuthRoleGrantPermissionResponse, error) { return a.RoleGrantPermission(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// RoleRevokePermission implements etcdserverpb.AuthServer.
func (s *Service) RoleRevokePermission(ctx context.Context, r *pb.AuthRoleRevokePermissionRequest) (*pb.AuthRoleRevokePermissionResponse, error) {
	resp, err := change(ctx, s, func(a auth.AuthStore) (*pb.AuthRoleRevokePermissionResponse, error) { return a.RoleRevokePermission(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// UserGet implements etcdserverpb.AuthServer. A user may look at itself.
func (s *Service) UserGet(ctx context.Context, r *pb.AuthUserGetRequest) (*pb.AuthUserGetResponse, error) {
	self := func(_ context.Context, c caller) error {
		if c.info.Username == r.Name { // nobody asks for nobody: not found, as in etcd
			return nil
		}
		return c.admin()
	}
	resp, err := ask(ctx, s, self, func(rules *Rules) (*pb.AuthUserGetResponse, error) { return rules.store.UserGet(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// UserList implements etcdserverpb.AuthServer.
func (s *Service) UserList(ctx context.Context, r *pb.AuthUserListRequest) (*pb.AuthUserListResponse, error) {
	resp, err := ask(ctx, s, isAdmin, func(rules *Rules) (*pb.AuthUserListResponse, error) { return rules.store.UserList(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// RoleGet implements etcdserverpb.AuthServer. A user may look at its roles.
func (s *Service) RoleGet(ctx context.Context, r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error) {
	own := func(_ context.Context, c caller) error {
		if c.store.HasRole(c.info.Username, r.Role) {
			return nil
		}
		return c.admin()
	}
	resp, err := ask(ctx, s, own, func(rules *Rules) (*pb.AuthRoleGetResponse, error) { return rules.store.RoleGet(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}

// RoleList implements etcdserverpb.AuthServer.
func (s *Service) RoleList(ctx context.Context, r *pb.AuthRoleListRequest) (*pb.AuthRoleListResponse, error) {
	resp, err := ask(ctx, s, isAdmin, func(rules *Rules) (*pb.AuthRoleListResponse, error) { return rules.store.RoleList(r) })
	if err == nil {
		resp.Header = s.header()
	}
	return resp, err
}
