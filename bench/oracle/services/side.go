package services

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Step is one request.
type Step struct {
	// Name says what is asked.
	Name string
	// Method is POST unless it is set.
	Method string
	Path   string
	// Body is JSON; $NAME in it stands for a saved value.
	Body string
	// As is the name of a saved token to send; none: nobody asks.
	As string
	// Save keeps the member Field of the answer as $Save.
	Save, Field string
}

// Answer is what a client sees.
type Answer struct {
	Status int
	Body   string // normalised (V2)
}

// side is one of the two systems in one run.
type side struct {
	endpoint string // host:port
	saved    map[string]string
}

func newSide(endpoint string) *side { return &side{endpoint: endpoint, saved: map[string]string{}} }

func (s *side) do(ctx context.Context, st Step) (Answer, error) {
	body := st.Body
	for name, value := range s.saved {
		body = strings.ReplaceAll(body, `"$`+name+`"`, value)
	}
	method := st.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.endpoint+st.Path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if st.As != "" {
		var token string
		if err := json.Unmarshal([]byte(s.saved[st.As]), &token); err != nil {
			return Answer{}, fmt.Errorf("no token of %s: %w", st.As, err)
		}
		req.Header.Set("Authorization", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, err
	}
	text, err := s.normalise(st, raw)
	return Answer{resp.StatusCode, text}, err
}

// normalise sorts the members of the answer and hides what a side makes up. A body
// that is no JSON object is compared as it is.
func (s *side) normalise(st Step, raw []byte) (string, error) {
	// protobuf picks one of two spaces for its messages, at random by build.
	raw = bytes.ReplaceAll(raw, []byte("\u00a0"), []byte(" "))
	var answer map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&answer) != nil {
		return string(raw), nil
	}
	if st.Save != "" {
		value, err := json.Marshal(answer[st.Field])
		if err != nil {
			return "", err
		}
		s.saved[st.Save] = string(value)
		if _, is := answer[st.Field].(string); is {
			answer[st.Field] = "saved"
		}
	}
	hideIDs(answer)
	if message, ok := answer["result"].(map[string]any); ok {
		hideIDs(message) // of a stream
	}
	text, err := json.Marshal(answer)
	return string(text), err
}

func hideIDs(answer map[string]any) {
	header, _ := answer["header"].(map[string]any)
	for _, name := range []string{"cluster_id", "member_id", "raft_term"} {
		if _, has := header[name]; has {
			header[name] = "set"
		}
	}
}

// Difference is a step that two sides answered differently.
type Difference struct {
	Step            Step
	Oracle, Subject Answer
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %s %s\n  etcd    %d %s\n  subject %d %s", d.Step.Name, d.Step.Path, d.Step.Body,
		d.Oracle.Status, d.Oracle.Body, d.Subject.Status, d.Subject.Body)
}

// Compare runs the steps on both sides and returns all that differ.
func Compare(ctx context.Context, oracle, subject string, steps []Step) ([]Difference, error) {
	a, b := newSide(oracle), newSide(subject)
	var found []Difference
	for _, st := range steps {
		want, err := a.do(ctx, st)
		if err != nil {
			return found, fmt.Errorf("%s, etcd: %w", st.Name, err)
		}
		got, err := b.do(ctx, st)
		if err != nil {
			return found, fmt.Errorf("%s, subject: %w", st.Name, err)
		}
		if got != want {
			found = append(found, Difference{st, want, got})
		}
	}
	return found, nil
}
