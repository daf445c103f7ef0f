package ltitest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigil"
)

// DeepLink is a deep linking answer that was verified.
type DeepLink struct {
	ClientID string
	Items    []map[string]any // content_items as they came
	Links    []Link           // the activities that were made of them
	Message  string           // msg
	Error    string           // errormsg
}

// DeepLinks are the deep linking answers that were verified, oldest first.
func (p *Platform) DeepLinks() []DeepLink {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.deepLinks)
}

// VerifyDeepLink checks an LtiDeepLinkingResponse (Deep Linking 2.0, 4.4) and makes
// activities of its ltiResourceLinks.
func (p *Platform) VerifyDeepLink(ctx context.Context, token string) (DeepLink, error) {
	j, err := parseJWS(token)
	if err != nil {
		return DeepLink{}, err
	}
	tool, ok := p.Tool(stringOf(j.claims, "iss"))
	if !ok {
		return DeepLink{}, vigil.Errorf(vigil.CodeUnauthorized, "The deep linking answer is not from a tool of this LMS.")
	}
	err = p.checkTool(ctx, tool, j, toolJWT{
		name: "deep linking answer", issuer: tool.ClientID, audience: p.cfg.Issuer, unique: "nonce", longest: time.Hour,
	})
	if err != nil {
		return DeepLink{}, err
	}
	id, mac, _ := strings.Cut(stringOf(j.claims, ClaimDL+"data"), ".")
	switch {
	case stringOf(j.claims, ClaimLTI+"message_type") != string(DeepLinkResponse), stringOf(j.claims, ClaimLTI+"version") != "1.3.0":
		return DeepLink{}, vigil.Errorf(vigil.CodeUnauthorized, "This is not a deep linking answer.")
	case stringOf(j.claims, ClaimLTI+"deployment_id") != tool.DeploymentID:
		return DeepLink{}, vigil.Errorf(vigil.CodeUnauthorized, "The deep linking answer names another deployment.")
	case mac != p.mac("deeplink "+id+" "+tool.ClientID):
		return DeepLink{}, vigil.Errorf(vigil.CodeUnauthorized, "The deep linking answer does not carry our data.")
	}
	d := DeepLink{
		ClientID: tool.ClientID, Message: stringOf(j.claims, ClaimDL+"msg"), Error: stringOf(j.claims, ClaimDL+"errormsg"),
	}
	list, _ := j.claims[ClaimDL+"content_items"].([]any)
	for _, v := range list {
		item, ok := v.(map[string]any)
		if !ok {
			return DeepLink{}, vigil.Errorf(vigil.CodeInvalid, "A content item is not an object.")
		}
		url := stringOf(item, "url")
		if p.cfg.Like == OpenEdX && url != "" && !slices.ContainsFunc(hostsOf(url), func(h string) bool { return strings.Contains(h, ".") }) {
			return DeepLink{}, vigil.Errorf(vigil.CodeInternal, "The content item's host has no dot.")
		}
		d.Items = append(d.Items, item)
		if stringOf(item, "type") != "ltiResourceLink" {
			continue
		}
		l := Link{Title: stringOf(item, "title"), Text: stringOf(item, "text"), URL: url, ClientID: tool.ClientID, Custom: map[string]string{}}
		for k, v := range objectOf(item, "custom") {
			l.Custom[k] = fmt.Sprint(v)
		}
		if l.Title == "" {
			l.Title = tool.Name
		}
		p.mu.Lock()
		l.ID = fmt.Sprintf("link-%d", p.nextLocked())
		p.links = append(p.links, l)
		p.mu.Unlock()
		d.Links = append(d.Links, l)
	}
	p.mu.Lock()
	p.deepLinks = append(p.deepLinks, d)
	p.mu.Unlock()
	p.changed()
	return d, nil
}

func (p *Platform) serveDeepLinkReturn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxJWT+4096)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The request cannot be read."))
		return
	}
	d, err := p.VerifyDeepLink(r.Context(), r.PostForm.Get("JWT"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if p.cfg.DeepLinked != nil {
		p.cfg.DeepLinked(w, r, d)
		return
	}
	writePage(w, "Added", fmt.Sprintf("%d activities were added.", len(d.Links)))
}
