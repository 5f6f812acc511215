package admin

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// PlacementSettings changes the settings that are named, all or none, and
// returns every one.
func (s *Server) PlacementSettings(ctx context.Context, req *pontoonpb.PlacementSettingsRequest) (*pontoonpb.PlacementSettingsResponse, error) {
	if len(req.Set) == 0 {
		now, err := s.Cluster.Settings(ctx)
		if err != nil {
			return nil, operatorError(err)
		}
		return &pontoonpb.PlacementSettingsResponse{Settings: show(now)}, nil
	}
	after, err := s.Cluster.ChangeSettings(ctx, func(now *pontoonpb.Settings) error { return change(now, req.Set) })
	var wrong *settingError
	if errors.As(err, &wrong) {
		return nil, status.Error(codes.InvalidArgument, wrong.Error())
	}
	if err != nil {
		return nil, operatorError(err)
	}
	return &pontoonpb.PlacementSettingsResponse{Settings: show(after)}, nil
}

// settingError refuses a value; it is the operator's to correct.
type settingError struct{ text string }

func (e *settingError) Error() string { return e.text }

// change sets what is named and checks the whole.
func change(s *pontoonpb.Settings, set []*pontoonpb.Setting) error {
	for _, want := range set {
		i := slices.IndexFunc(table, func(e setting) bool { return e.name == want.Name })
		if i < 0 {
			return &settingError{"no setting is called " + quoted(want.Name) + "; see `pontoon placement settings`"}
		}
		if err := table[i].set(s, want.Value); err != nil {
			return err
		}
	}
	return checkTogether(s)
}

// show renders all settings with what is in force.
func show(s *pontoonpb.Settings) []*pontoonpb.Setting {
	out := make([]*pontoonpb.Setting, len(table))
	for i, e := range table {
		out[i] = &pontoonpb.Setting{Name: e.name, Value: e.value(s), DefaultValue: e.byDefault, Help: e.help}
	}
	return out
}
