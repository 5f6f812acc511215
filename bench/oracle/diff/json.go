package diff

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// paths are where the JSON gateway takes what is not in methods.
var paths = map[Kind]string{
	KindRange: "/v3/kv/range", KindPut: "/v3/kv/put", KindDelete: "/v3/kv/deleterange", KindTxn: "/v3/kv/txn",
	KindGrant: "/v3/lease/grant", KindRevoke: "/v3/lease/revoke", KindKeepAlive: "/v3/lease/keepalive",
	KindTTL: "/v3/lease/timetolive", KindLeases: "/v3/lease/leases",
}

// pathOf is where the JSON gateway takes operations of a kind; empty if nowhere.
func pathOf(k Kind) string {
	if p, ok := paths[k]; ok {
		return p
	}
	return methods[k].path
}

// post sends a request through the JSON gateway. Whatever the status, the answer is
// one message: the status and the normalised body.
func (s *side) post(ctx context.Context, o Op, msg proto.Message) answer {
	body, err := protojson.Marshal(msg)
	if err != nil {
		return answerOf(nil, err)
	}
	url := "http://" + s.Endpoints[o.Gateway%len(s.Endpoints)] + pathOf(o.Kind)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answerOf(nil, err)
	}
	if t := s.token(o.As); t != "" {
		req.Header.Set(tokenKey, t)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answerOf(nil, err)
	}
	defer func() { _ = resp.Body.Close() }() // it has been read, or the error says more
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answerOf(nil, err)
	}
	text, rev := s.normaliseJSON(o, raw)
	return answer{msg: wrapperspb.String(fmt.Sprintf("HTTP %d %s", resp.StatusCode, text)), rev: rev}
}

// normaliseJSON does to a body what normalise and call do to a message, and sorts its
// members, whose order JSON leaves open. A body that is no object stays as it is. It
// also returns the revision in the header.
func (s *side) normaliseJSON(o Op, raw []byte) (text string, rev int64) {
	// protojson picks one of two spaces for its own messages, at random by build.
	raw = bytes.ReplaceAll(raw, []byte("\u00a0"), []byte(" "))
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var body map[string]any
	if d.Decode(&body) != nil {
		return string(raw), 0
	}
	message := body
	if inner, ok := body["result"].(map[string]any); ok {
		message = inner // of a stream
	}
	if header, ok := message["header"].(map[string]any); ok {
		for _, name := range []string{"cluster_id", "member_id", "raft_term"} {
			if _, has := header[name]; has {
				header[name] = hidden
			}
		}
		revision, _ := header["revision"].(string)
		rev, _ = strconv.ParseInt(revision, 10, 64) // 0 if there is none
	}
	switch o.Kind {
	case KindAuthenticate:
		if t, ok := message["token"].(string); ok {
			s.keepToken(o.As, t)
			message["token"] = hidden
		}
	case KindTTL:
		hideTTL(message)
		sortJSON(message["keys"])
	case KindLeases:
		s.symbolsIn(message)
		sortJSON(message["leases"])
	}
	s.symbolsIn(message)
	out, err := json.Marshal(body)
	if err != nil {
		return err.Error(), rev
	}
	return string(out), rev
}

// hideTTL hides a rest that lies between nothing and what was granted: the two sides
// granted at different moments.
func hideTTL(message map[string]any) {
	left, leftErr := strconv.ParseInt(fmt.Sprint(message["TTL"]), 10, 64)
	granted, err := strconv.ParseInt(fmt.Sprint(message["grantedTTL"]), 10, 64)
	if leftErr == nil && err == nil && left > 0 && left <= granted {
		message["TTL"] = hidden
	}
}

// symbolsIn maps ids of leases that this side picked, wherever they are.
func (s *side) symbolsIn(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			s.symbolsIn(e)
		}
	case map[string]any:
		for name, e := range v {
			text, ok := e.(string)
			if !ok || name != "lease" && name != "ID" {
				s.symbolsIn(e)
				continue
			}
			if id, err := strconv.ParseInt(text, 10, 64); err == nil {
				v[name] = strconv.FormatInt(s.symbolOf(id), 10)
			}
		}
	}
}

// sortJSON sorts a list whose order etcd leaves open (see normalise).
func sortJSON(list any) {
	if l, ok := list.([]any); ok {
		slices.SortFunc(l, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
}
