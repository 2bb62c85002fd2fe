// A development provider: oidc-provider with a handful of people and one client. Its
// settings are environment variables; README.md lists them.
import { randomBytes, generateKeyPairSync, timingSafeEqual, createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const setting = (name, otherwise) => {
  const value = process.env[name] ?? otherwise
  if (value === undefined) {
    console.error(`${name} is not set`)
    process.exit(2)
  }
  return value
}

const issuer = setting('PROVIDER_ISSUER')
const port = Number(setting('PROVIDER_PORT', '8001'))
const host = setting('PROVIDER_HOST', '0.0.0.0')
const clientSecret = readFileSync(setting('PROVIDER_CLIENT_SECRET_FILE'), 'utf8').trim()
const callbacks = setting('PROVIDER_CALLBACKS').split(' ')
const peopleFile = setting('PROVIDER_PEOPLE', new URL('people.json', import.meta.url).pathname)

// Read each time: who is taken out of the file is gone at the next question.
const people = () => JSON.parse(readFileSync(peopleFile, 'utf8'))
const person = (login) => (Object.hasOwn(people(), login) ? people()[login] : undefined)

const findAccount = (_ctx, login) => {
  const found = person(login)
  return found && {
    accountId: login,
    claims: () => ({
      sub: login, preferred_username: login, name: found.name, email: found.email, email_verified: true, groups: found.groups,
    }),
  }
}

const jwk = (type, options, alg) =>
  ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg + randomBytes(4).toString('hex') })

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const page = (title, body) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}</title>
<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:24rem;margin:10vh auto;padding:0 1rem}
label{display:block;margin:1rem 0 .25rem}input:not([type=hidden]){width:100%;box-sizing:border-box;font:inherit;padding:.5rem}button{margin-top:1.25rem;font:inherit;padding:.5rem 1rem}</style>
</head><body><main><h1>${title}</h1>${body}</main></body></html>`

const configuration = {
  clients: [{
    client_id: 'perijove',
    client_secret: clientSecret,
    redirect_uris: callbacks,
    post_logout_redirect_uris: callbacks.map((c) => new URL('/hub/logout', c).href),
    grant_types: ['authorization_code', 'refresh_token'],
    ...(process.env.PROVIDER_LOGOUT_MESSAGES && {
      backchannel_logout_uri: process.env.PROVIDER_LOGOUT_MESSAGES, backchannel_logout_session_required: true,
    }),
  }],
  jwks: { keys: [jwk('rsa', { modulusLength: 2048 }, 'RS256'), jwk('ec', { namedCurve: 'P-256' }, 'ES256')] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups'] },
  scopes: ['openid', 'profile', 'email', 'groups'],
  findAccount,
  pkce: { required: () => true },
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true, // as the strictest providers do: an old one ends the login
  // The only client is the platform itself: nobody is asked what it may know.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
    grant.addOIDCScope('openid profile email groups')
    await grant.save()
    return grant
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = page('Log out here too?', `${form}<button autofocus type="submit" form="op.logoutForm" name="logout" value="yes">Log out</button>`)
      },
      postLogoutSuccessSource: (ctx) => { ctx.body = page('You are logged out', '') },
    },
  },
  // The one address that it ever asks, for logout messages, is on this machine, where
  // the library's own fetch refuses to go. A busy machine may take its time.
  fetch: (url, { dispatcher: _, ...options }) => fetch(url, { ...options, signal: AbortSignal.timeout(10_000) }),
  ttl: { AccessToken: 300, AuthorizationCode: 60, IdToken: 300, Interaction: 600, Session: 43200, Grant: 43200, RefreshToken: 43200 },
  renderError: (ctx, out) => {
    ctx.type = 'html'
    ctx.body = page('This did not work', `<p>${escape(out.error_description ?? out.error)}</p>`)
  },
}

const provider = new Provider(issuer, configuration)
provider.on('server_error', (_ctx, err) => console.error(err))
for (const failed of ['grant.error', 'authorization.error', 'backchannel.error']) {
  provider.on(failed, (...args) => console.error(failed, args.find((a) => a instanceof Error)?.message))
}
const answer = provider.callback()

const digest = (text) => createHash('sha256').update(text).digest()
const passwordFits = (found, password) => timingSafeEqual(digest(found?.password ?? ''), digest(password)) && found !== undefined

const form = (uid, wrong) => page('Development provider', `
${wrong ? '<p role="alert">User name or password is wrong.</p>' : '<p>People: dora, emil, greta (administrator), hugo (not allowed in). Passwords: dora-password and so on.</p>'}
<form method="post" action="/interaction/${escape(uid)}">
<label for="login">User name</label><input id="login" name="login" autocomplete="username" required autofocus>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Log in</button></form>`)

const body = async (request) => {
  let text = ''
  for await (const chunk of request) {
    text += chunk
    if (text.length > 4096) throw new Error('the form is too long')
  }
  return new URLSearchParams(text)
}

const interact = async (request, response) => {
  const { uid } = await provider.interactionDetails(request, response)
  const html = (status, text) => response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(text)
  if (request.method === 'GET') return html(200, form(uid, false))
  const fields = await body(request)
  const login = fields.get('login') ?? ''
  if (!passwordFits(person(login), fields.get('password') ?? '')) return html(403, form(uid, true))
  return provider.interactionFinished(request, response, { login: { accountId: login } }, { mergeWithLastSubmission: false })
}

const server = createServer((request, response) => {
  if (request.url === '/healthz') return response.end('ok\n')
  if (!request.url.startsWith('/interaction/')) return answer(request, response)
  return interact(request, response).catch((err) => {
    console.error(err.message)
    if (!response.headersSent) response.writeHead(400, { 'content-type': 'text/html; charset=utf-8' })
    response.end(page('This did not work', '<p>The login took too long, or began in another browser. Go back and begin again.</p>'))
  })
})
server.listen(port, host, () => console.log(`provider ${issuer} listens on ${host}:${port}`))
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
