package web

import (
	"crypto/rand"
	"html/template"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"vigil"
	"vigil/lti"
)

// registerPage asks the LMS admin whether this LMS shall be registered. The LMS opens it
// in a frame before it is registered, so the origin of its configuration may frame this
// page, here and only here (Dynamic Registration 1.0, section 3.3). An invitation that is
// of no use any more is told at once, before anyone presses the button.
func (s *Server) registerPage(w http.ResponseWriter, r *http.Request) {
	if err := s.tool.Invited(r.Context(), chi.URLParam(r, "invitation")); err != nil {
		s.anyFrame(w)
		s.notRegistered(w, r, err)
		return
	}
	q := r.URL.Query()
	configURL, token := q.Get("openid_configuration"), q.Get("registration_token")
	origin := vigil.Origin(configURL)
	if origin != "" {
		s.allowFrame(w, []string{origin})
	}
	if configURL == "" {
		s.show(w, r, http.StatusOK, "register-how.html", view{Title: s.word(r, "register.title"), Page: "register", Data: map[string]string{
			"Link": s.tool.Origin() + r.URL.Path,
		}})
		return
	}
	if origin == "" {
		s.refuse(w, r, vigil.Invalid("openid_configuration", "The address of the learning platform's configuration is not a web address."))
		return
	}
	s.show(w, r, http.StatusOK, "register.html", view{Title: s.word(r, "register.title"), Page: "register", Data: map[string]string{
		"Platform": strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://"),
		"Config":   configURL, "Token": token, "Path": r.URL.Path,
	}})
}

// register runs the registration and ends with the page that tells the LMS so.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The form cannot be read."))
		return
	}
	configURL := r.PostForm.Get("openid_configuration")
	origins := []string{}
	if o := vigil.Origin(configURL); o != "" {
		origins = append(origins, o)
	}
	s.allowFrame(w, origins)
	p, err := s.tool.Register(r.Context(), chi.URLParam(r, "invitation"), configURL, r.PostForm.Get("registration_token"))
	if err != nil {
		s.notRegistered(w, r, err)
		return
	}
	s.audit(r.Context(), "", "", "platform.register", vigil.Actor{Role: vigil.RoleSystem}, p.ID)
	nonce := rand.Text()
	s.setPolicy(w, origins, nonce)
	s.show(w, r, http.StatusOK, "registered.html", view{
		Title: s.word(r, "registered.title"), Page: "register", Nonce: nonce,
		Data: map[string]any{
			"Name": p.Name, "Pending": p.State != vigil.PlatformActive,
			"Close": template.JS(lti.CloseScript), // #nosec G203 -- our own constant
		},
	})
}

// notRegistered says why a registration cannot be. The person who reads this will ask
// the operator: always with a reference.
func (s *Server) notRegistered(w http.ResponseWriter, r *http.Request, err error) {
	status := vigil.CodeOf(err).Status()
	detail, _, reference := s.describe(r, status, err, lti.NewReference())
	s.showError(w, r, status, errorView{Code: vigil.CodeOf(err), Detail: detail, Reference: reference})
}

func (s *Server) word(r *http.Request, key string) string {
	return catalogue[pickLang("", r)].text(key)
}
