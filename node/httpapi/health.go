package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
)

// health is etcd's older probe: 200 with health "true", or 503 and a reason.
func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	if !onlyGet(w, r) {
		return
	}
	reason := h.unwell(r)
	if h.Counts != nil {
		h.Counts.Probed(reason == "")
	}
	body, err := json.Marshal(struct {
		Health string `json:"health"`
		Reason string `json:"reason"`
	}{fmt.Sprint(reason == ""), reason})
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case reason != "":
		http.Error(w, string(body), http.StatusServiceUnavailable)
	default:
		w.Write(body)
	}
}

// unwell says what is wrong, alarms first: they tell more than what follows
// from them. exclude=NAME passes over an alarm, serializable=true asks for this
// node alone.
func (h *handler) unwell(r *http.Request) string {
	query := r.URL.Query()
	for _, a := range h.Probe.Alarms() {
		if !has(query["exclude"], a.Alarm.String()) {
			return alarmText(a.Alarm)
		}
	}
	serializable := query.Get("serializable") == "true"
	if !serializable && !h.Probe.HasLeader() {
		return "RAFT NO LEADER"
	}
	if err := h.read(r.Context(), serializable); err != nil {
		return "RANGE ERROR:" + plain(err)
	}
	return ""
}

func alarmText(a pb.AlarmType) string {
	switch a {
	case pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT:
		return "ALARM " + a.String()
	}
	return "ALARM UNKNOWN"
}

func (h *handler) read(ctx context.Context, serializable bool) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	return h.Probe.Read(ctx, serializable)
}

// plain is an error without the words of gRPC around it.
func plain(err error) string { return status.Convert(err).Message() }
