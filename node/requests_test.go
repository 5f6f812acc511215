package node_test

import (
	"math"
	"math/rand/v2"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// request is one method of etcd's API and requests of it as they usually are.
type request struct {
	method string
	usual  []proto.Message
}

func requests() []request {
	k := []byte("k")
	put := &pb.PutRequest{Key: k, Value: []byte("v")}
	return []request{
		{"/etcdserverpb.KV/Range", []proto.Message{&pb.RangeRequest{Key: k}, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 3,
			SortOrder: pb.RangeRequest_DESCEND, SortTarget: pb.RangeRequest_VALUE, MinModRevision: 2}}},
		{"/etcdserverpb.KV/Put", []proto.Message{put, &pb.PutRequest{Key: k, Lease: 7, PrevKv: true}, &pb.PutRequest{Key: k, IgnoreLease: true}}},
		{"/etcdserverpb.KV/DeleteRange", []proto.Message{&pb.DeleteRangeRequest{Key: k}, &pb.DeleteRangeRequest{Key: k, RangeEnd: []byte{0}, PrevKv: true}}},
		{"/etcdserverpb.KV/Txn", []proto.Message{&pb.TxnRequest{
			Compare: []*pb.Compare{{Key: k, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 1}}},
			Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put}}},
			Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{}}}},
		}, &pb.TxnRequest{Success: []*pb.RequestOp{{}}}}},
		{"/etcdserverpb.KV/Compact", []proto.Message{&pb.CompactionRequest{Revision: 2, Physical: true}, &pb.CompactionRequest{Revision: -1}}},
		{"/etcdserverpb.KV/RangeStream", []proto.Message{&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}}},
		{"/etcdserverpb.Watch/Watch", []proto.Message{
			&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: k, StartRevision: 1}}},
			&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: 1}}},
			&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{}}}},
		{"/etcdserverpb.Lease/LeaseGrant", []proto.Message{&pb.LeaseGrantRequest{TTL: 60, ID: 7}, &pb.LeaseGrantRequest{TTL: -1}}},
		{"/etcdserverpb.Lease/LeaseRevoke", []proto.Message{&pb.LeaseRevokeRequest{ID: 7}}},
		{"/etcdserverpb.Lease/LeaseKeepAlive", []proto.Message{&pb.LeaseKeepAliveRequest{ID: 7}}},
		{"/etcdserverpb.Lease/LeaseTimeToLive", []proto.Message{&pb.LeaseTimeToLiveRequest{ID: 7, Keys: true}}},
		{"/etcdserverpb.Lease/LeaseLeases", []proto.Message{&pb.LeaseLeasesRequest{}}},
		{"/etcdserverpb.Cluster/MemberAdd", []proto.Message{&pb.MemberAddRequest{PeerURLs: []string{"not a url"}}}},
		{"/etcdserverpb.Cluster/MemberRemove", []proto.Message{&pb.MemberRemoveRequest{ID: 5}}},
		{"/etcdserverpb.Cluster/MemberUpdate", []proto.Message{&pb.MemberUpdateRequest{ID: 5}}},
		{"/etcdserverpb.Cluster/MemberPromote", []proto.Message{&pb.MemberPromoteRequest{ID: 5}}},
		{"/etcdserverpb.Cluster/MemberList", []proto.Message{&pb.MemberListRequest{Linearizable: true}}},
		{"/etcdserverpb.Maintenance/Status", []proto.Message{&pb.StatusRequest{}}},
		{"/etcdserverpb.Maintenance/Defragment", []proto.Message{&pb.DefragmentRequest{}}},
		{"/etcdserverpb.Maintenance/Hash", []proto.Message{&pb.HashRequest{}}},
		{"/etcdserverpb.Maintenance/HashKV", []proto.Message{&pb.HashKVRequest{Revision: 3}}},
		{"/etcdserverpb.Maintenance/Snapshot", []proto.Message{&pb.SnapshotRequest{}}},
		{"/etcdserverpb.Maintenance/MoveLeader", []proto.Message{&pb.MoveLeaderRequest{TargetID: 3}}},
		{"/etcdserverpb.Maintenance/Downgrade", []proto.Message{&pb.DowngradeRequest{Version: "3.6.0"}}},
		{"/etcdserverpb.Maintenance/Alarm", []proto.Message{&pb.AlarmRequest{}, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 3, Alarm: pb.AlarmType_NOSPACE}}},
		{"/etcdserverpb.Auth/AuthStatus", []proto.Message{&pb.AuthStatusRequest{}}},
		{"/etcdserverpb.Auth/AuthEnable", []proto.Message{&pb.AuthEnableRequest{}}},
		{"/etcdserverpb.Auth/AuthDisable", []proto.Message{&pb.AuthDisableRequest{}}},
		{"/etcdserverpb.Auth/Authenticate", []proto.Message{&pb.AuthenticateRequest{Name: "u", Password: "p"}}},
		{"/etcdserverpb.Auth/UserAdd", []proto.Message{&pb.AuthUserAddRequest{Name: "u", HashedPassword: "aGFzaA==", Options: nil}}},
		{"/etcdserverpb.Auth/UserGet", []proto.Message{&pb.AuthUserGetRequest{Name: "u"}}},
		{"/etcdserverpb.Auth/UserList", []proto.Message{&pb.AuthUserListRequest{}}},
		{"/etcdserverpb.Auth/UserDelete", []proto.Message{&pb.AuthUserDeleteRequest{Name: "u"}}},
		{"/etcdserverpb.Auth/UserChangePassword", []proto.Message{&pb.AuthUserChangePasswordRequest{Name: "u", HashedPassword: "x"}}},
		{"/etcdserverpb.Auth/UserGrantRole", []proto.Message{&pb.AuthUserGrantRoleRequest{User: "u", Role: "r"}}},
		{"/etcdserverpb.Auth/UserRevokeRole", []proto.Message{&pb.AuthUserRevokeRoleRequest{Name: "u", Role: "r"}}},
		{"/etcdserverpb.Auth/RoleAdd", []proto.Message{&pb.AuthRoleAddRequest{Name: "r"}}},
		{"/etcdserverpb.Auth/RoleGet", []proto.Message{&pb.AuthRoleGetRequest{Role: "r"}}},
		{"/etcdserverpb.Auth/RoleList", []proto.Message{&pb.AuthRoleListRequest{}}},
		{"/etcdserverpb.Auth/RoleDelete", []proto.Message{&pb.AuthRoleDeleteRequest{Role: "r"}}},
		{"/etcdserverpb.Auth/RoleGrantPermission", []proto.Message{&pb.AuthRoleGrantPermissionRequest{Name: "r"}}},
		{"/etcdserverpb.Auth/RoleRevokePermission", []proto.Message{&pb.AuthRoleRevokePermissionRequest{Role: "r", Key: k}}},
		{"/v3lockpb.Lock/Lock", []proto.Message{&v3lockpb.LockRequest{Name: []byte("l")}}},
		{"/v3lockpb.Lock/Unlock", []proto.Message{&v3lockpb.UnlockRequest{Key: k}}},
		{"/v3electionpb.Election/Campaign", []proto.Message{&v3electionpb.CampaignRequest{Name: []byte("e"), Lease: 9}}},
		{"/v3electionpb.Election/Leader", []proto.Message{&v3electionpb.LeaderRequest{Name: []byte("e")}}},
		{"/v3electionpb.Election/Observe", []proto.Message{&v3electionpb.LeaderRequest{Name: []byte("e")}}},
		{"/v3electionpb.Election/Proclaim", []proto.Message{&v3electionpb.ProclaimRequest{}}},
		{"/v3electionpb.Election/Resign", []proto.Message{&v3electionpb.ResignRequest{}}},
	}
}

// methods are all of etcd's API, with what each is sent.
func methods() (map[string]protoreflect.MessageType, error) {
	all := map[string]protoreflect.MessageType{}
	for _, name := range []protoreflect.FullName{
		"etcdserverpb.KV", "etcdserverpb.Watch", "etcdserverpb.Lease", "etcdserverpb.Cluster", "etcdserverpb.Maintenance",
		"etcdserverpb.Auth", "v3lockpb.Lock", "v3electionpb.Election",
	} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			return nil, err
		}
		list := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range list.Len() {
			m := list.Get(i)
			typ, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
			if err != nil {
				return nil, err
			}
			all["/"+string(name)+"/"+string(m.Name())] = typ
		}
	}
	return all, nil
}

// inventor makes up requests that are well-formed, and seldom make sense.
type inventor struct{ *rand.Rand }

// body is a request of a type; one in four is damaged.
func (v inventor) body(typ protoreflect.MessageType) ([]byte, error) {
	m := typ.New()
	v.fill(m, 0)
	b, err := proto.Marshal(m.Interface())
	if err == nil && len(b) > 0 && v.IntN(4) == 0 {
		b[v.IntN(len(b))] ^= byte(1 << v.IntN(8))
	}
	return b, err
}

const inventedDepth = 4

func (v inventor) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		message := f.Kind() == protoreflect.MessageKind || f.Kind() == protoreflect.GroupKind
		switch {
		case v.IntN(2) == 0 || f.IsMap() || message && depth == inventedDepth:
		case f.IsList():
			list := m.Mutable(f).List()
			for range v.IntN(4) {
				if message {
					v.fill(list.AppendMutable().Message(), depth+1)
				} else {
					list.Append(v.scalar(f))
				}
			}
		case message:
			v.fill(m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, v.scalar(f))
		}
	}
}

var (
	inventedNumbers = []int64{0, 1, 2, 3, 5, 7, 60, -1, math.MaxInt32, math.MaxInt64, math.MinInt64}
	inventedTexts   = []string{"", "k", "l", "u", "r", "\x00", "k\x00", "3.6.0", "3.7.0", "http://127.0.0.1:1", strings.Repeat("x", 5000)}
)

func (v inventor) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	n := inventedNumbers[v.IntN(len(inventedNumbers))]
	s := inventedTexts[v.IntN(len(inventedTexts))]
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(v.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(v.IntN(f.Enum().Values().Len()+2) - 1))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(s)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(s))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	default:
		return protoreflect.ValueOfInt64(n)
	}
}
