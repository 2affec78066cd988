/** The settings that a stage cannot go without. */
export const requiredSettings = {
  supabaseUrl: 'https://abcdefghijklmnopqrst.supabase.co',
  allowedOrigins: ['https://app.bondhu.app', 'http://localhost:3000'],
};
