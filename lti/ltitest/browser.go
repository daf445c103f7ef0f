package ltitest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Browser walks pages without a screen: it keeps cookies, follows redirects and posts
// forms that post themselves. A form does that when the page has an inline script or
// an onload that calls submit(), or when the form has the attribute data-autosubmit.
//
// As in browsers, a loopback host counts as secure, and cookies that are not
// SameSite=None stay at home when another host's page posts a form.
// Its methods may be called by one goroutine at a time.
type Browser struct {
	// Client does the requests; it never follows redirects itself. Its jar is the Browser's.
	Client *http.Client
	// KeepForms leaves forms that post themselves alone: Open returns that page.
	KeepForms bool

	jar  *siteJar
	here *url.URL // the page that is shown
}

// maxSteps bounds redirects and self-posting forms of one navigation.
const maxSteps = 25

// maxPage bounds what is read of a page.
const maxPage = 4 << 20

// Page is what the browser shows in the end.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	Forms  []Form
	Trail  []string // the URLs on the way, the last one included
}

// NewBrowser makes a browser with an empty jar. A nil transport is one of its own.
func NewBrowser(transport http.RoundTripper) *Browser {
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true}
	}
	j, err := cookiejar.New(nil)
	if err != nil {
		panic("ltitest: " + err.Error())
	}
	jar := &siteJar{jar: j, strict: map[string]bool{}}
	return &Browser{jar: jar, Client: &http.Client{
		Transport: transport, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// SignIn makes the browser a user's at a platform.
func (b *Browser) SignIn(p *Platform, userID string) {
	u, err := url.Parse(p.Issuer())
	if err != nil {
		panic("ltitest: issuer: " + err.Error())
	}
	b.jar.SetCookies(u, []*http.Cookie{p.Cookie(userID)})
}

// Open goes to a URL, as if it were typed.
func (b *Browser) Open(ctx context.Context, rawURL string) (*Page, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return b.walk(ctx, http.MethodGet, u, nil, true)
}

// Submit sends a form with values added to or put over its own. A value list that is
// nil removes the field.
func (b *Browser) Submit(ctx context.Context, f Form, values url.Values) (*Page, error) {
	all := url.Values{}
	for k, v := range f.Fields {
		all[k] = v
	}
	for k, v := range values {
		if v == nil {
			delete(all, k)
			continue
		}
		all[k] = v
	}
	u, err := url.Parse(f.Action)
	if err != nil {
		return nil, fmt.Errorf("submit: %w", err)
	}
	if f.page != nil { // the form's tab may not be the last one
		b.here = f.page
	}
	if f.Method == http.MethodGet {
		u.RawQuery = all.Encode()
		return b.walk(ctx, http.MethodGet, u, nil, false)
	}
	return b.walk(ctx, http.MethodPost, u, all, false)
}

// walk requests, follows and posts until a page stays.
func (b *Browser) walk(ctx context.Context, method string, u *url.URL, form url.Values, typed bool) (*Page, error) {
	var trail []string
	from := b.here
	if typed {
		from = nil
	}
	for range maxSteps {
		trail = append(trail, u.String())
		page, err := b.request(ctx, method, u, form, from)
		if err != nil {
			return nil, err
		}
		page.Trail = trail
		if loc := page.Header.Get("Location"); loc != "" && page.Status >= 300 && page.Status < 400 {
			next, err := u.Parse(loc)
			if err != nil {
				return nil, fmt.Errorf("redirect to %q: %w", loc, err)
			}
			if page.Status != http.StatusTemporaryRedirect && page.Status != http.StatusPermanentRedirect {
				method, form = http.MethodGet, nil
			}
			u = next
			continue
		}
		b.here = u
		page.Forms = parseForms(u, page.Body)
		auto := -1
		for i, f := range page.Forms {
			if f.Auto && auto < 0 {
				auto = i
			}
		}
		if auto < 0 || b.KeepForms {
			return page, nil
		}
		f := page.Forms[auto]
		next, err := url.Parse(f.Action)
		if err != nil {
			return nil, fmt.Errorf("form action: %w", err)
		}
		from, method, u, form = b.here, f.Method, next, f.Fields
		if method == http.MethodGet {
			u.RawQuery, form = f.Fields.Encode(), nil
		}
	}
	return nil, fmt.Errorf("more than %d redirects and forms: %s", maxSteps, strings.Join(trail, " → "))
}

func (b *Browser) request(ctx context.Context, method string, u *url.URL, form url.Values, from *url.URL) (*Page, error) {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("User-Agent", "ltitest")
	cross := from != nil && from.Hostname() != u.Hostname()
	site := "none"
	switch {
	case cross:
		site = "cross-site"
	case from != nil && from.Host == u.Host && from.Scheme == u.Scheme:
		site = "same-origin"
	case from != nil:
		site = "same-site"
	}
	req.Header.Set("Sec-Fetch-Site", site)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if from != nil {
			req.Header.Set("Origin", from.Scheme+"://"+from.Host)
		}
	}
	b.jar.cross(cross && method == http.MethodPost)
	res, err := b.Client.Do(req)
	b.jar.cross(false)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, u.Path, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", u.Path, err)
	}
	return &Page{URL: u, Status: res.StatusCode, Header: res.Header, Body: string(text)}, nil
}

// Cookies are those that the browser would send to a URL.
func (b *Browser) Cookies(rawURL string) []*http.Cookie {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil
	}
	return b.jar.Cookies(u)
}

// siteJar adds to the standard jar what browsers know of sites.
type siteJar struct {
	jar *cookiejar.Jar

	mu      sync.Mutex
	strict  map[string]bool // host and name of cookies that are not SameSite=None
	posting bool            // the request is another site's form post
}

func (j *siteJar) cross(on bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.posting = on
}

func secured(u *url.URL) *url.URL {
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		c := *u
		c.Scheme = "https"
		return &c
	}
	return u
}

// SetCookies implements http.CookieJar.
func (j *siteJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	for _, c := range cookies {
		j.strict[u.Hostname()+" "+c.Name] = c.SameSite != http.SameSiteNoneMode
	}
	j.mu.Unlock()
	j.jar.SetCookies(secured(u), cookies)
}

// Cookies implements http.CookieJar.
func (j *siteJar) Cookies(u *url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []*http.Cookie
	for _, c := range j.jar.Cookies(secured(u)) {
		if !j.posting || !j.strict[u.Hostname()+" "+c.Name] {
			out = append(out, c)
		}
	}
	return out
}
