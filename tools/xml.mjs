/** Text as it stands between two tags. */
export function toXml(text) {
  return String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
