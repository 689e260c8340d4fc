/** Exchanges the one-time token of the address for a cookie, and goes on by itself: a redirect would not carry the cookie. */
void enter();

async function enter(): Promise<void> {
  const token = location.hash.slice(1);
  history.replaceState(null, '', '/enter');
  const answer = await fetch('/session', { method: 'POST', body: token }).catch(() => null);
  if (answer?.ok) location.replace('/');
  else document.getElementById('page')!.textContent = (await answer?.text()) ?? 'The command trainstash ui is gone.';
}
