package web

import (
	"encoding/json"
	"net/http"

	"vigil"
)

// aboutAge is how long others may keep what about says.
const aboutAge = "public, max-age=60"

// about tells anyone which program this is, and which version of the assertion it reads
// (docs/assertion.md): a platform's health check compares it with its plugin's.
func (s *Server) about(w http.ResponseWriter, r *http.Request) {
	b, err := json.Marshal(struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		Assertion int    `json:"assertion"`
	}{"Vigil", s.version, vigil.PluginVersion})
	if err != nil { // our own types always marshal
		s.problem(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", aboutAge)
	_, _ = w.Write(b)
}
