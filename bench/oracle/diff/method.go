package diff

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	electionpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	lockpb "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// method is a unary call that needs no more than to be sent and compared.
type method struct {
	grpc    string // the full name of the method
	path    string // of the JSON gateway; empty if it is not called through it
	request func() proto.Message
	reply   func() proto.Message
	// opaque: of an answer that is no error nothing is compared, since it speaks of
	// the member that gave it (sizes, hashes, ids, versions).
	opaque bool
}

func of[M any, P interface {
	*M
	proto.Message
}]() proto.Message {
	return P(new(M))
}

const (
	authService  = "/etcdserverpb.Auth/"
	maintenance  = "/etcdserverpb.Maintenance/"
	lockService  = "/v3lockpb.Lock/"
	electService = "/v3electionpb.Election/"
)

// methods are the calls of auth, lock, election and maintenance. Their kinds are the
// verbs of the text form, as those in newMessage are.
var methods = map[Kind]method{
	"auth_enable":       {authService + "AuthEnable", "/v3/auth/enable", of[pb.AuthEnableRequest], of[pb.AuthEnableResponse], false},
	"auth_disable":      {authService + "AuthDisable", "/v3/auth/disable", of[pb.AuthDisableRequest], of[pb.AuthDisableResponse], false},
	"auth_status":       {authService + "AuthStatus", "/v3/auth/status", of[pb.AuthStatusRequest], of[pb.AuthStatusResponse], false},
	KindAuthenticate:    {authService + "Authenticate", "/v3/auth/authenticate", of[pb.AuthenticateRequest], of[pb.AuthenticateResponse], false},
	"user_add":          {authService + "UserAdd", "/v3/auth/user/add", of[pb.AuthUserAddRequest], of[pb.AuthUserAddResponse], false},
	"user_get":          {authService + "UserGet", "/v3/auth/user/get", of[pb.AuthUserGetRequest], of[pb.AuthUserGetResponse], false},
	"user_list":         {authService + "UserList", "/v3/auth/user/list", of[pb.AuthUserListRequest], of[pb.AuthUserListResponse], false},
	"user_delete":       {authService + "UserDelete", "/v3/auth/user/delete", of[pb.AuthUserDeleteRequest], of[pb.AuthUserDeleteResponse], false},
	"user_changepw":     {authService + "UserChangePassword", "/v3/auth/user/changepw", of[pb.AuthUserChangePasswordRequest], of[pb.AuthUserChangePasswordResponse], false},
	"user_grant":        {authService + "UserGrantRole", "/v3/auth/user/grant", of[pb.AuthUserGrantRoleRequest], of[pb.AuthUserGrantRoleResponse], false},
	"user_revoke":       {authService + "UserRevokeRole", "/v3/auth/user/revoke", of[pb.AuthUserRevokeRoleRequest], of[pb.AuthUserRevokeRoleResponse], false},
	"role_add":          {authService + "RoleAdd", "/v3/auth/role/add", of[pb.AuthRoleAddRequest], of[pb.AuthRoleAddResponse], false},
	"role_get":          {authService + "RoleGet", "/v3/auth/role/get", of[pb.AuthRoleGetRequest], of[pb.AuthRoleGetResponse], false},
	"role_list":         {authService + "RoleList", "/v3/auth/role/list", of[pb.AuthRoleListRequest], of[pb.AuthRoleListResponse], false},
	"role_delete":       {authService + "RoleDelete", "/v3/auth/role/delete", of[pb.AuthRoleDeleteRequest], of[pb.AuthRoleDeleteResponse], false},
	"role_grant":        {authService + "RoleGrantPermission", "/v3/auth/role/grant", of[pb.AuthRoleGrantPermissionRequest], of[pb.AuthRoleGrantPermissionResponse], false},
	"role_revoke":       {authService + "RoleRevokePermission", "/v3/auth/role/revoke", of[pb.AuthRoleRevokePermissionRequest], of[pb.AuthRoleRevokePermissionResponse], false},
	"lock":              {lockService + "Lock", "/v3/lock/lock", of[lockpb.LockRequest], of[lockpb.LockResponse], false},
	"unlock":            {lockService + "Unlock", "/v3/lock/unlock", of[lockpb.UnlockRequest], of[lockpb.UnlockResponse], false},
	KindCampaign:        {electService + "Campaign", "", of[electionpb.CampaignRequest], of[electionpb.CampaignResponse], false},
	"proclaim":          {electService + "Proclaim", "/v3/election/proclaim", of[electionpb.ProclaimRequest], of[electionpb.ProclaimResponse], false},
	"leader":            {electService + "Leader", "/v3/election/leader", of[electionpb.LeaderRequest], of[electionpb.LeaderResponse], false},
	"resign":            {electService + "Resign", "/v3/election/resign", of[electionpb.ResignRequest], of[electionpb.ResignResponse], false},
	"alarm":             {maintenance + "Alarm", "", of[pb.AlarmRequest], of[pb.AlarmResponse], false},
	"member_status":     {maintenance + "Status", "", of[pb.StatusRequest], of[pb.StatusResponse], true},
	"member_hashkv":     {maintenance + "HashKV", "", of[pb.HashKVRequest], of[pb.HashKVResponse], true},
	"member_hash":       {maintenance + "Hash", "", of[pb.HashRequest], of[pb.HashResponse], true},
	"member_defragment": {maintenance + "Defragment", "", of[pb.DefragmentRequest], of[pb.DefragmentResponse], true},
}

// The kinds of methods after which the runner remembers something.
const (
	KindAuthenticate Kind = "authenticate" // AuthenticateRequest: As keeps the token
	KindCampaign     Kind = "campaign"     // CampaignRequest: the leader is kept for proclaim and resign
)

// messageOf makes the empty message of a kind.
func messageOf(k Kind) (proto.Message, bool) {
	if m, ok := newMessage[k]; ok {
		return m(), true
	}
	m, ok := methods[k]
	if !ok {
		return nil, false
	}
	return m.request(), true
}

// invoke calls a method through gRPC.
func (s *side) invoke(ctx context.Context, o Op, req proto.Message) answer {
	m, ok := methods[o.Kind]
	if !ok {
		return answer{code: codes.Internal, text: fmt.Sprintf("diff: nothing sends %T", req)}
	}
	out := m.reply()
	err := s.conn(o.Gateway).Invoke(ctx, m.grpc, req, out)
	if err != nil {
		return answerOf(nil, err)
	}
	if r, ok := out.(*pb.AuthenticateResponse); ok {
		s.keepToken(o.As, r.Token)
		r.Token = hidden // each side makes its own
	}
	if m.opaque {
		out = m.reply()
	}
	return answerOf(out, nil)
}

// hidden stands in answers for what a side makes up.
const hidden = "(set)"
