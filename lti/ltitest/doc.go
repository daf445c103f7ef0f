// Package ltitest is a small LTI 1.3 platform: the LMS that tests and the demo launch
// from. It signs and verifies with the standard library only, so that it does not
// share a mistake with the tool it tests.
//
// # Use
//
//	p, err := ltitest.Serve(ltitest.Config{})     // listens on 127.0.0.1:0; p.Issuer() is its URL
//	defer p.Close()
//	// or: p := ltitest.New(ltitest.Config{Issuer: "http://127.0.0.1:8081"})  // an http.Handler
//
// Register a tool by hand, or let it register itself:
//
//	t := p.Register(ltitest.Tool{LoginURL: …, RedirectURIs: …, KeySetURL: …, TargetLinkURI: …})
//	e := p.Endpoints(t.ClientID)                  // what an admin copies into the tool
//	u := p.RegistrationURL(registerURL)           // Dynamic Registration: open it, then
//	p.Activate(p.Tools()[0].ClientID)             // as Moodle's admin does
//
// Launch through a browser, following redirects and forms that post themselves:
//
//	b := ltitest.NewBrowser(nil)
//	b.SignIn(p, "3")
//	page, err := b.Open(ctx, p.Begin(ltitest.Launch{
//		ClientID: t.ClientID, UserID: "3", Message: ltitest.StartProctoring, LinkID: "quiz-2", Attempt: 1,
//	}))
//	page, err = b.Submit(ctx, page.Forms[0], url.Values{"agree": {"1"}})
//
// Or piece by piece, for hostile launches:
//
//	q, _ := p.LoginRequest(launch)                // parameters of the third-party login
//	form, _ := p.Authorize(q2, "3")               // auth.php's answer: state and id_token, from the tool's redirect query
//	raw := ltitest.Sign(header, claims, key)      // any header, any claims, any key
//	claims := p.Claims(launch, nonce)             // what an honest id_token would say
//	p.SetMischief(ltitest.Mischief{Claims: func(c map[string]any) { delete(c, "exp") }})
//
// With Vigil's plugin (Config.Plugin says of which version) it signs what the plugin signs,
// does Assessment Control by ControlTable, and owes Vigil reports of ends:
//
//	jwt := p.Assertion(attempt)                   // for a socket
//	jwt := p.PageStamp(attempt, requested, answered)
//	p.Served(id)                                  // the student got a page: the first is reported, too
//	err := p.SendReports(ctx, 0)                  // what Moodle's cron does; p.Owed() is what is left
//	p.MoveEnd(id, end); p.HandIn(id); p.Delete(id); p.SwitchOff("quiz-2")
//
// From version 3 on it tells who may see and do what, with launches, by reports and when asked:
//
//	p.SetGroups("3", groupA); p.SetAccess("2", ltitest.Access{Groups: …, Rights: …})
//	err := p.SendAccess(ctx)                      // what has changed, to every tool
//
// Package lms puts pages around it: the demo LMS.
//
// What came in is kept: Platform.Controls, Platform.Starts, Platform.DeepLinks, and
// Platform.Count(endpoint) counts requests, Platform.Fetches(url) our own fetches of
// a tool's key set.
//
// # Pages and endpoints, like Moodle
//
//	/mod/lti/openid-configuration.php   also /.well-known/openid-configuration
//	/mod/lti/openid-registration.php    Dynamic Registration; bearer registration_token, once
//	/mod/lti/launch.php?id=…            starts a launch made by Begin, for the signed-in user
//	/mod/lti/auth.php                   authorization endpoint
//	/mod/lti/certs.php                  key set
//	/mod/lti/token.php                  client_credentials with private_key_jwt
//	/mod/lti/services.php/…             CourseSection/{course}/bindings/{tool}/memberships; assessmentcontrol; access
//	/mod/lti/contentitem_return.php     deep linking answer
//	/mod/quiz/accessrule/vigil/start.php     LtiStartAssessment; 303 to continue.php
//	/mod/quiz/accessrule/vigil/continue.php  the same user's browser; starts the attempt
//	/vigil/assertion?attempt=…          the one-minute socket assertion, for the attempt's owner
//
// With Like: OpenEdX the endpoints and the manners are those of the other platform
// (see Like), and each registered tool has its own key set and token URL.
package ltitest
